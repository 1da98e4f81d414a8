"""The night report in a real browser: it shows, nothing of it runs, nothing is asked of the net."""

import json
import re
import shutil
import subprocess

import pytest

from tasks.evaluate import evaluate
from tasks.evaluation.report import write
from tests.measured_night import CLASSES, candidate, champion, data, night, pipeline, prepared

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "<script>document.title = 'taken over'</script>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page in")


def browse(page, profile, *arguments):
    """Open a page headless; standard output, once its scripts and pictures are done."""
    quiet = ("background-networking", "component-update", "sync", "gpu", "extensions")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars"),
            *(f"--disable-{name}" for name in quiet),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *(f"--user-data-dir={profile}", *arguments, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def requests_of_pages(log):
    """Addresses a page asked for; what the browser asks for itself has no origin behind it."""
    events = json.loads(log.read_text())["events"]
    starts = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return [
        each["url"]
        for each in starts
        if each["url"].startswith("http") and each["initiator"] != "not an origin"
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    home = tmp_path_factory.mktemp("report")
    classes = (*CLASSES[:2], EVIL)
    trained = (
        candidate(home, "chosen", 3, 2.5, classes=classes),
        candidate(home, "other", 1, 2, classes=classes),
    )
    settings, ready = pipeline("chosen", "other", classes_text=EVIL), prepared(home, classes)
    found = evaluate.fn(settings, ready, trained, champion(home, 1.0))
    told = night(trained, reason=f"better by 0.05 {EVIL}")
    given = {"pipeline": settings, "prepared": ready, **data(classes)}
    return write(home / "report.html", told, found, **given)


def test_the_browser_shows_the_report_and_runs_nothing_of_the_data(report, tmp_path):
    shown = browse(report, tmp_path / "profile", "--dump-dom")
    assert "<title>tickets 2026-04-01: promoted</title>" in shown
    assert "<script" not in shown
    assert "&lt;script&gt;document.title" in shown
    assert len(re.findall(r"<section", shown)) == 7
    assert len(re.findall(r"<img", shown)) == 7


def test_the_page_asks_nothing_of_the_network(report, tmp_path):
    log = tmp_path / "net.json"
    browse(report, tmp_path / "profile", "--dump-dom", f"--log-net-log={log}")
    assert requests_of_pages(log) == []


def test_a_page_that_does_ask_would_be_caught(tmp_path):
    page, log = tmp_path / "page.html", tmp_path / "net.json"
    page.write_text('<img src="http://127.0.0.1:9/picture.png">')
    browse(page, tmp_path / "profile", "--dump-dom", f"--log-net-log={log}")
    assert "http://127.0.0.1:9/picture.png" in requests_of_pages(log)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways_of_a_phone_or_a_desk(report, tmp_path, width):
    page = tmp_path / "measured.html"
    measure = "document.title = [innerWidth, document.documentElement.scrollWidth].join()"
    policy = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
    text = policy.sub("", report.read_text("utf-8"))
    frame = f'<iframe width="{width}" height="900" src="inner.html"></iframe>'
    (tmp_path / "inner.html").write_text(text.replace("</body>", f"<script>{measure}</script>"))
    ask = "onload = () => { document.title = frames[0].document.title }"
    page.write_text(f"{frame}<script>{ask}</script>")
    shown = browse(page, tmp_path / "profile", "--allow-file-access-from-files", "--dump-dom")
    inner, needed = map(int, re.search(r"<title>(\d+),(\d+)</title>", shown).groups())
    assert inner == width
    assert needed <= width


def test_pictures_follow_the_dark_scheme(report, tmp_path):
    from matplotlib.image import imread

    def brightness(name, *arguments):
        target = tmp_path / f"{name}.png"
        browse(report, tmp_path / name, f"--screenshot={target}", *arguments)
        return float(imread(target)[:, :, :3].mean())

    size = "--window-size=1000,1600"
    assert brightness("light", size) > 0.8
    assert brightness("dark", size, "--blink-settings=preferredColorScheme=0") < 0.3
