"""kill -9 between any two steps, and a rerun that ends as if nothing had happened."""

import signal
import time

import psutil
import pytest

from tests.command_line import home_in
from tests.faults.nights import TINY, Night, as_if_nothing_had_happened, query
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
    "after_save",
)
KEPT = ("ingest", "validate", "prepare", "train.floor", "train.words", "champion", "evaluate")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = home_in(tmp_path_factory.mktemp("killed"))
    return Night(home, home.write(TINY))


@pytest.fixture(scope="module")
def died(place):
    """A night that was killed while it trained, and again when it had promoted."""
    first = place.run("after_train_floor:kill")
    assert first.returncode == -signal.SIGKILL, first.stderr
    second = place.run("after_promote:kill")
    assert second.returncode == -signal.SIGKILL, second.stderr
    return second, place.run()


def test_a_night_that_died_twice_ends_as_if_nothing_had_happened(place, died):
    assert died[1].returncode == 0, died[1].stderr
    as_if_nothing_had_happened(place)


def test_the_dead_night_is_told_with_its_process(died):
    assert "night 2026-03-01 of 'tiny' died (pid" in died[0].stderr
    assert "marked KILLED in MLflow" in died[0].stderr


def test_no_server_of_a_dead_night_lives_on(place, died):
    left = [each for each in psutil.process_iter(["environ"]) if of_home(each, place.place)]
    assert [each.pid for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def of_home(process, home):
    given = process.info["environ"] or {}
    return given.get("PREFECT_HOME") == str((home / "prefect").resolve())


def test_no_finished_step_is_computed_twice(died):
    second, third = (run.stderr for run in died)
    assert "train.floor: taken from the run before" in second
    assert "train.words: computed, nothing kept" in second
    for step in (*KEPT, "register"):
        assert f"{step}: taken from the run before" in third


def test_while_mlflow_is_away_a_night_fails_clearly_and_loses_nothing(place, died):
    night = place.on("2026-03-02")
    away = night.run(NOCTURNE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")
    assert away.returncode == 1, away.stderr
    assert "does not answer" in night.record()["reason"]
    assert away.stderr.count("tracking down, spooling") == 1
    back = night.run()
    assert back.returncode in (0, 3), back.stderr
    assert "train.words: taken from the run before" in back.stderr
    spooled = query(night.place / "mlflow.db", "select value from tags where key = 'spooled_as'")
    assert len(spooled) == 1
    assert sorted(night.runs().values()).count("FAILED") == 1
    assert "RUNNING" not in night.runs().values()


def test_sigterm_in_training_leaves_a_night_that_can_be_resumed(place, died):
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


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_is_survived(tmp_path, point):
    home = home_in(tmp_path)
    night = Night(home, home.write(TINY))
    killed = night.run(f"{point}:kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = night.run()
    assert again.returncode == 0, again.stderr
    as_if_nothing_had_happened(night)
