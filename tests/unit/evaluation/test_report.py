"""The night report as text: everything owed is on it, and nothing in it can run or load."""

import re
from html import unescape

import pytest

from tasks.config import Choice, Source
from tasks.evaluate import evaluate
from tasks.evaluation.report import render, write
from tasks.references import GateResult
from tests.measured_night import CLASSES, candidate, champion, data, night, pipeline, prepared

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A whole night with hostile names, and what `render` is given of it."""
    home = tmp_path_factory.mktemp("report")
    classes = (*CLASSES[:2], EVIL)
    trained = (
        candidate(home, "chosen", 3, 2.5, classes=classes),
        candidate(home, "other", 1, 2, classes=classes),
        candidate(home, "broken", 1, 1, classes=classes).model_copy(
            update={"failed": f"epoch 1: loss is NaN {EVIL}"}
        ),
    )
    settings = pipeline("chosen", "other", "broken", classes_text=f"about {EVIL}")
    ready = prepared(home, classes)
    found = evaluate.fn(settings, ready, trained, champion(home, 1.0))
    return {
        "home": home,
        "night": night(trained, reason=f"macro-F1 0.81 {EVIL}", seed=17),
        "evaluation": found,
        "given": {"pipeline": settings, "prepared": ready, **data(classes)},
    }


@pytest.fixture(scope="module")
def page(told):
    path = told["home"] / "deep" / "report.html"
    written = write(path, told["night"], told["evaluation"], **told["given"])
    assert list(path.parent.iterdir()) == [written]
    return written.read_text("utf-8")


def words(page):
    """What a reader sees, without style and markup."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_no_text_of_the_data_becomes_markup(page):
    assert "<script" not in page
    assert words(page).count(EVIL) > 5


def test_the_page_loads_nothing_and_forbids_it(page):
    sources = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert all(re.match(r"#|data:image/svg\+xml;base64,", source) for source in sources)
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_outcome_and_reason_come_first(page):
    shown = words(page)
    assert shown.index("Promoted") < shown.index("macro-F1 0.81") < shown.index("Verdict")


@pytest.mark.parametrize(
    "expected",
    [
        "All 900 probabilities are finite.",  # each gate's sentence
        "beats champion",
        "chosen challenger",  # the chosen row is marked
        "Out: epoch 1: loss is NaN",
        "averaged_embeddings · no resampling",
        "Challenger against champion",
        "Version 6 was scored again tonight on the same 300 test rows.",
        "calibration error",
        "by length",
        "by time",
        "by channel",
        "943, of which 40 new",
        "exact duplicates dropped 5",
        "7 left the train rows",
        "got 'biling' in 3 rows",
        "for example: biling",
        "MLflow run 0123abcd",
        "digest of the test rows " + "5d" * 32,
        "train 9.5 s",
        "keras 3.15.1",
        "bootstrap_samples: 200",  # the settings, whole
        "seed 17",
    ],
)
def test_the_report_says_it(page, expected):
    assert expected in words(page)


def test_every_picture_is_embedded_with_a_text_for_who_cannot_see_it(page, told):
    images = re.findall(r'<img src="(data:[^"]{1000,})" alt="([^"]+)"', page)
    assert len(images) == len(told["evaluation"].plots) == 7


def test_a_difference_is_coloured_only_beyond_chance(told):
    difference = told["evaluation"].difference["macro_f1"]
    assert difference.low > 0
    unsure = difference.model_copy(update={"low": -0.1})
    evaluation, unjudged = told["evaluation"], night(verdict=None)
    doubtful = evaluation.model_copy(
        update={"difference": {**evaluation.difference, "macro_f1": unsure}}
    )
    assert "beyond chance" in words(render(unjudged, evaluation, **told["given"]))
    assert "may be chance" in words(render(unjudged, doubtful, **told["given"]))


@pytest.mark.parametrize(
    ("failing", "tile"),
    [(None, "beyond chance"), ("worse", "beyond chance"), ("unsure", "may be chance")],
)
def test_the_tile_says_of_the_difference_what_the_verdict_says(told, failing, tile):
    """The interval shown leaves out 0 each time; the gate's bound is a wider one."""
    gate = GateResult(gate="beats_champion", passed=not failing, sentence=".", failing=failing)
    verdict = night().verdict.model_copy(update={"gates": (gate,)})
    shown = words(render(night(verdict=verdict), told["evaluation"], **told["given"]))
    assert tile in shown
    assert {"beyond chance", "may be chance"} - {tile} == {
        other for other in ("beyond chance", "may be chance") if other not in shown
    }


def test_the_verdict_is_said_with_the_rows_that_would_settle_it(told):
    assert "Better" in words(render(told["night"], told["evaluation"], **told["given"]))
    page = render(night(outcome="kept"), told["evaluation"], **told["given"])
    shown = words(page)
    one = night().verdict.model_copy(update={"more_rows": 1})
    assert "about 1 more labelled test row would" in words(
        render(night(verdict=one), told["evaluation"], **told["given"])
    )
    assert "Not enough evidence · about 5,400 more labelled test rows would settle it" in shown
    assert 'aria-label="cannot tell">?' in page


@pytest.mark.parametrize("outcome", ["kept", "skipped", "failed"])
def test_every_outcome_has_its_banner(told, outcome):
    page = render(night(outcome=outcome), told["evaluation"], **told["given"])
    assert f'class="verdict {outcome}"' in page


def test_a_night_the_contract_refused_still_has_its_report():
    refused = night(
        outcome="failed", reason="over the budget", verdict=None, version=None, stage=None
    )
    shown = words(render(refused, None, pipeline=pipeline("a"), **data()))
    assert "over the budget" in shown
    assert "got 'biling' in 3 rows" in shown
    assert "Candidates" not in shown


def test_a_night_that_broke_at_once_still_has_its_report():
    broken = night(outcome="failed", reason="source: no such file", verdict=None, seconds={})
    shown = words(render(broken, None, pipeline=pipeline("a")))
    assert "source: no such file" in shown
    assert "ended before any rows were read" in shown


def test_a_first_night_compares_with_nobody(tmp_path):
    only, settings, ready = candidate(tmp_path, "only", 2, 2), pipeline("only"), prepared(tmp_path)
    found = evaluate.fn(settings, ready, (only,))
    first = night((only,), champion_before=None)
    shown = words(render(first, found, pipeline=settings, prepared=ready, **data()))
    assert "no version in Production to compare with" in shown
    assert "difference" not in shown


def test_passwords_in_addresses_are_masked():
    reader = Choice(name="sql", options={"url": "postgresql://ann:hunter2@db/x"})
    secret = pipeline("a").model_copy(update={"source": Source(reader=reader)})
    failed = night(outcome="failed", reason="cannot reach s3://key:hunter2@host/x")
    page = render(failed, None, pipeline=secret)
    assert "hunter2" not in page
    assert "postgresql://ann:***@db/x" in page
