"""Faults between any two steps, and a rerun that ends as if nothing had happened."""

import os
import shutil
import signal
import time
from dataclasses import dataclass, field

import psutil
import pytest

from tests.command_line import ROOT, night_home_in
from tests.faults.invariants import violations
from tests.faults.nights import TINY, Night, as_if_nothing_had_happened, ended, opened, query, stops
from tests.servers import free_port

POINTS = (
    "after_claim",
    "after_start",
    "after_ingest",
    "after_validate",
    "after_prepare",
    "after_train_floor",
    "after_train",
    "after_evaluate",
    "after_register",
    "after_promote",
    "after_decide",
    "after_report",
    "before_save",
    "after_save",
)
KEPT = ("ingest", "validate", "prepare", "train.floor", "train.words", "champion", "evaluate")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = night_home_in(tmp_path_factory.mktemp("killed"))
    return Night(home, home.write(TINY))


@dataclass
class Lived:
    """One night that met one fault after another, run by run, until it ended.

    It trains once: each run goes on where the one before stopped, so that a fault costs little.
    """

    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    ended: bytes = b""  # the record and the ledger, as the last run left them

    def met(self, fault, run, night=None):
        self.said[fault], self.codes[fault] = run.stderr, run.returncode
        if night is not None:
            self.reasons[fault] = night.record()["reason"]


@pytest.fixture(scope="module")
def lived(place):
    """Too little memory, a kill in training, MLflow away, a sleep, a kill after the promotion."""
    found = Lived()
    found.met("memory", with_little_memory(place), place)
    found.met("killed", place.run("after_train_floor:kill"))
    away = f"http://127.0.0.1:{free_port()}"
    found.met("away", place.run(NOCTURNE_MLFLOW_URL=away), place)
    asleep = place.begin(NOCTURNE_FAILPOINT="before_promote:stop", NOCTURNE_LEASE_SECONDS="5")
    stops(*asleep)
    time.sleep(6)
    try:
        found.met("promoted", place.run("after_promote:kill"))
        found.met("last", place.run())
        found.ended = written(place)
    finally:
        asleep[0].send_signal(signal.SIGCONT)
    found.met("asleep", ended(*asleep))
    return found


LIMITED = """
import resource, sys
if "tasks.candidates.worker" in sys.orig_argv:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
"""


def with_little_memory(night):
    """The night, with a gigabyte for the process that trains; Keras alone needs more."""
    folder = night.home.path / "limited"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LIMITED)
    return night.run(PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")


def written(night):
    """What lasts of a night: its record, the ledger, and what MLflow shows."""
    store = night.place / "store"
    files = sorted(path for part in ("nights", "ledger") for path in (store / part).rglob("*.json"))
    assert len(files) >= 3
    return b"".join(path.read_bytes() for path in files) + repr(night.versions()).encode()


def test_a_night_that_met_every_fault_ends_as_if_nothing_had_happened(place, lived):
    assert lived.codes["last"] == 0, lived.said["last"]
    as_if_nothing_had_happened(place)


def test_too_little_memory_is_called_that_and_the_night_says_what_to_do(lived):
    assert lived.codes["memory"] == 1, lived.said["memory"]
    reason = lived.reasons["memory"]
    assert "memory ran out: " in reason
    assert "NOCTURNE_WORKERS" in reason


def test_the_dead_night_is_told_with_its_process(lived):
    assert lived.codes["killed"] == -signal.SIGKILL, lived.said["killed"]
    assert "night 2026-03-01 of 'tiny' died (pid" in lived.said["away"]
    assert "marked KILLED in MLflow" in lived.said["asleep"]  # the first with an MLflow


def test_no_finished_step_is_computed_twice(lived):
    assert "train.floor: taken from the run before" in lived.said["away"]
    assert "train.words: taken from the run before" not in lived.said["away"]
    assert "register: taken from the run before" in lived.said["promoted"]
    for step in (*KEPT, "register"):
        assert f"{step}: taken from the run before" in lived.said["last"]


def test_while_mlflow_is_away_a_night_fails_clearly_and_loses_nothing(place, lived):
    assert lived.codes["away"] == 1, lived.said["away"]
    assert "does not answer" in lived.reasons["away"]
    assert lived.said["away"].count("tracking down, spooling") == 1
    assert "train.words: taken from the run before" in lived.said["asleep"]
    spooled = query(place.place / "mlflow.db", "select value from tags where key = 'spooled_as'")
    assert len(spooled) == 3  # the night and its candidates


def test_a_night_that_slept_through_its_lease_changes_nothing_when_it_wakes(place, lived):
    assert lived.codes["promoted"] == -signal.SIGKILL, lived.said["promoted"]
    assert lived.codes["asleep"] not in (0, 3), lived.said["asleep"]
    assert "was given up for dead after 5 s of silence and taken over" in lived.said["asleep"]
    assert written(place) == lived.ended
    assert violations(*opened(place)) == []


def test_no_server_of_a_dead_night_lives_on(place, lived):
    left = [each for each in psutil.process_iter(["environ"]) if of_home(each, place.place)]
    assert [each.pid for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def of_home(process, home):
    given = process.info["environ"] or {}
    return given.get("PREFECT_HOME") == str((home / "prefect").resolve())


def test_sigterm_in_training_leaves_a_night_that_can_be_resumed(place, lived):
    long = {"epochs": 100_000, "patience": 100_000, "min_updates": 0, "batch_size": 32}
    conf = place.home.write(
        TINY, training=long, candidates=[TINY["candidates"][1] | {"training": long}]
    )
    night = Night(place.home, conf, "2026-03-03")
    process, said = night.begin()
    kept = night.place / "work" / "tiny" / "candidates" / "words" / "resume" / "model.npz"
    try:
        deadline = time.monotonic() + 900
        while not kept.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143, said.read_text()
    record = night.record()
    assert "stopped by SIGTERM; words resumable from epoch" in record["reason"]
    assert night.runs()[record["run_id"]] == "KILLED"
    assert "RUNNING" not in night.runs().values()
    assert "RUNNING" not in night.flow_states()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    home = night_home_in(tmp_path_factory.mktemp("swept"))
    return Night(home, home.write(TINY))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_is_survived(swept, tmp_path, point):
    """The run that is killed goes on from the kill before: no step is computed for every point."""
    killed = swept.run(f"{point}:kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with swept.as_it_is(tmp_path / "killed"):
        again = swept.run()
        assert again.returncode == 0, again.stderr
        as_if_nothing_had_happened(swept)
        assert "CRASHED" in swept.flow_states()
        copy = shutil.copy(swept.place / "mlflow.db", tmp_path)
        assert violations(*opened(swept, copy)) == []
