"""The page of a demonstration, from a small history."""

import re
from datetime import date, timedelta

import pytest

from tasks.demonstration.page import write
from tasks.demonstration.story import Act, Asked, Event, Promise, Story
from tasks.references import Night, Watched

EVIL = "<script>document.title = 'taken over'</script>"
MONDAY = date(2025, 10, 6)


def watched(day, smallest, **facts):
    given = {"rows": 900, "level": 0.09, "reason": f"{day} p {smallest}", **facts}
    return Watched(pipeline="demo", logical_date=day.isoformat(), smallest=smallest, **given)


def decision(number, kind, before, after):
    at = f"2026-01-31T10:0{number}:00+00:00"
    told = {"number": number, "at": at, "kind": kind, "version": after or before}
    return {**told, "before": before, "after": after, "by": "night", "why": f"because {EVIL}"}


def story(*, kept=True):
    """Two versions over three days: the first falls on Monday, the second recovers."""
    acts = [Act("The first night", "From nothing.", 0, 20, ["nocturne retrain conf/demo.yaml"])]
    acts[0].promises = [Promise("the first model is promoted", kept, "champion v1")]
    acts[0].reports = [("night report", "work/demo/report.html")]
    acts += [Act("Drift arrives", EVIL, 20, 60, verdicts=[f"alarm: the words moved {EVIL}"])]
    asked = []
    for number in range(900):
        at = 20 + number / 20
        version, day = ("1", MONDAY - timedelta(days=1)) if number < 300 else ("1", MONDAY)
        if number >= 600:
            version, day = "2", MONDAY + timedelta(days=1)
        right = number % 10 > {"1": 0 if number < 300 else 2, "2": 1}[version]
        asked.append(Asked(at, 0.004 + 0.001 * (number % 7), day, version, 1, int(right)))
    return Story(
        pipeline="demo",
        drift=MONDAY,
        acts=acts,
        events=[Event(10, "v1 promoted", "good"), Event(45, "alarm", "bad")],
        asked=asked,
        nights=[Night(pipeline="demo", logical_date="2025-10-04", outcome="promoted")],
        watched=[
            watched(MONDAY - timedelta(days=1), 0.6),
            watched(MONDAY, 0.0005, conspicuous=True, alarm=True),
        ],
        history=[decision(1, "promoted", None, "1"), decision(2, "promoted", "1", "2")],
        again=["nocturne history conf/demo.yaml"],
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page") / "page.html", story()).read_text("utf-8")


def test_the_page_says_that_every_promise_held(page):
    assert "every promise held" in page
    assert "champion v1" in page


def test_every_picture_is_in_the_page_and_says_what_it_shows(page):
    alts = re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="([^"]+)"', page)
    assert len(alts) == 4
    timeline, load, accuracy, nights = alts
    assert "2 acts and 2 events in 1.1 minutes" in timeline
    assert "2 terms of versions" in load
    assert "0 requests failed" in load
    assert "Sun v1 0.900" in accuracy
    assert "Mon v1 0.700" in accuracy
    assert "Tue v2 0.800" in accuracy
    assert "alarms: 2025-10-06" in nights


def test_commands_verdicts_reports_and_the_ledger_stand_in_it(page):
    assert "$ nocturne retrain conf/demo.yaml" in page
    assert "alarm: the words moved" in page
    assert '<a href="work/demo/report.html">' in page
    assert "v1 → v2" in page
    assert '<span class="n">0:45</span><span class="bad">alarm</span>' in page


def test_nothing_of_the_data_runs_and_nothing_is_loaded(page):
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="(?!data:|#|work/)', page) == []


def test_a_promise_that_was_not_kept_is_the_headline(tmp_path):
    page = write(tmp_path / "page.html", story(kept=False)).read_text("utf-8")
    assert "not every promise was kept" in page
    assert '<div class="verdict failed">' in page


def test_a_story_that_ended_early_is_told_as_far_as_it_went(tmp_path):
    short = Story(pipeline="demo", drift=MONDAY, acts=story().acts[:1])
    page = write(tmp_path / "page.html", short).read_text("utf-8")
    assert len(re.findall("<img", page)) == 1
