"""`nocturne demo` for real: the whole story, and what is left when somebody stops it."""

import json
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flows.demonstration import stage
from flows.demonstration.stage import Stage
from tests.command_line import ROOT, home_in

DEMO = [sys.executable, "-m", "flows.cli", "demo"]


def begun(home, *options):
    """The demonstration on its way; Ctrl-C reaches it also where tests run in the background."""
    return subprocess.Popen(
        [*DEMO, *options],
        cwd=ROOT,
        env=home.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def left_of(home):
    """Processes whose home is the demonstration's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("NOCTURNE_HOME", "").startswith(str(home.path)):
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def eventually(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow)],
)
def test_stopped_in_the_middle_of_a_night_nothing_runs_on(tmp_path, number, code):
    home = home_in(tmp_path)
    with begun(home) as process:
        for line in process.stdout:
            if "ingest done" in line:
                break
        assert len(left_of(home)) >= 2
        process.send_signal(number)
        process.communicate(timeout=90)
    assert process.returncode == code
    assert eventually(lambda: not left_of(home)), left_of(home)


def test_a_server_ends_with_its_act_also_where_that_breaks(tmp_path):
    variables = {"NOCTURNE_HOME": str(tmp_path), "NOCTURNE_DEMO_DATABASE": "sqlite://"}
    own, served = Stage(tmp_path, variables, print), []

    def broken():
        with own.serving(ROOT / "conf" / "demonstration.yaml") as both:
            served.extend(both)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    address, process = served
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert process.returncode == 0


def test_a_server_that_does_not_come_up_is_said_with_its_log(tmp_path):
    own = Stage(tmp_path, {"NOCTURNE_HOME": str(tmp_path)}, print)
    said = pytest.raises(stage.StageBroken, match=r"does not listen.*server\.log")
    with said, own.serving(tmp_path / "no.yaml"):
        pass


@pytest.mark.slow
def test_every_promise_of_the_story_holds(tmp_path):
    home = home_in(tmp_path)
    with begun(home, "--json") as process:
        out, _ = process.communicate(timeout=3_000)
    assert process.returncode == 0, out
    told = json.loads(out[out.index("{") :])
    assert (told["kept"], told["failed"], told["broken"]) == (True, 0, [])
    assert told["requests"] > 1_000
    page = (tmp_path / ".nocturne" / "demo" / "demonstration.html").read_text("utf-8")
    assert told["page"] == str(tmp_path / ".nocturne" / "demo" / "demonstration.html")
    assert "every promise held" in page
    assert len(re.findall("<img", page)) == 4
    links = re.findall(r'href="(work/[^"]+)"', page)
    assert len(links) >= 7
    for link in links:
        assert (tmp_path / ".nocturne" / "demo" / link).is_file()
    assert {path.name for path in (tmp_path / ".nocturne").iterdir()} == {"demo"}
    assert left_of(home) == []
