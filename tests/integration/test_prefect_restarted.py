"""Nights on a schedule, when Prefect's server is killed, or the worker, or all come late.

In Prefect a run that holds a slot of a concurrency limit asks for it anew every 225 seconds, and is
ended by it when the server does not know the slot any more.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.command_line import home_in
from tests.faults.nights import TINY
from tests.integration.test_work_pools import ask, write
from tests.prefect_database import with_empty_database
from tests.servers import free_port, running, stop

ASKED_ANEW_SECONDS = 225
ENDLESS = {"epochs": 100_000, "patience": 100_000, "min_updates": 0, "batch_size": 32}


@pytest.fixture
def team(tmp_path, empty_store):
    """A home, and the port of its Prefect server."""
    (tmp_path / "all").mkdir()
    (tmp_path / ".nocturne").mkdir()
    shutil.copy(empty_store, tmp_path / ".nocturne" / "mlflow.db")
    port = free_port()
    home = home_in(
        tmp_path,
        NOCTURNE_HOME=".nocturne",
        PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_HOME=str(with_empty_database(tmp_path / "prefect")),
    )
    return home, port


def deployed(home, **changed):
    write(home, {**TINY, "name": "small", "candidates": TINY["candidates"][1:], **changed})
    answer = home.nocturne("deploy", "all/small.yaml", "--pool", "nights", "--type", "process")
    assert answer.code == 0, answer.err


@contextmanager
def server(home, port):
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true"}
    health = f"http://127.0.0.1:{port}/api/health"
    command = ["flows.prefect_server", "--port", str(port)]
    with running(
        command, health, home.path / "server.log", environment=home.environment | quiet
    ) as process:
        yield process


@contextmanager
def worker(home):
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "nights"]
    with (home.path / "worker.log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=home.path, env=home.environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(120)
        process.kill()
        process.wait()


def night_asked(home, day=None, due=None):
    """A run by hand of a day, or one as the schedule makes it."""
    night = ask(home, "deployments/name/retrain/small")
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    asked = {"state": state, "parameters": {"logical_date": day} if day else {}}
    return ask(home, f"deployments/{night['id']}/create_flow_run", asked)["id"]


def state_of(home, run):
    return ask(home, f"flow_runs/{run}")["state"]


def until(home, said, patience_seconds=600):
    deadline = time.monotonic() + patience_seconds
    while not said():
        assert time.monotonic() < deadline, (home.path / "worker.log").read_text()[-4000:]
        time.sleep(0.3)


@pytest.mark.slow
def test_a_night_outlives_its_server_and_who_comes_after_a_dead_one_takes_its_place(team):
    home, port = team
    work = home.path / ".nocturne" / "work" / "small"
    trained = work / "candidates" / "words" / "resume" / "model.npz"
    with ExitStack() as first:
        killed = first.enter_context(server(home, port))
        deployed(home, candidates=[TINY["candidates"][1] | {"training": ENDLESS}])
        one = night_asked(home, "2026-03-01")
        with worker(home) as stopped:
            until(home, trained.exists)
            two = night_asked(home, "2026-03-02")
            until(home, lambda: state_of(home, two)["type"] == "CANCELLED")
            assert "night 2026-03-01 is still running (pid" in state_of(home, two)["message"]
            os.killpg(killed.pid, 9)
            killed.wait()
            with server(home, port):
                time.sleep(ASKED_ANEW_SECONDS + 30)
                assert state_of(home, one)["type"] == "RUNNING"
                before = trained.stat().st_mtime_ns
                until(home, lambda: trained.stat().st_mtime_ns > before)
                stopped.terminate()  # Prefect's worker kills what it runs, and tells nobody
                stopped.wait(120)
                assert state_of(home, one)["type"] == "RUNNING"
                three = night_asked(home, "2026-03-01")
                before = trained.stat().st_mtime_ns
                with worker(home):
                    until(home, lambda: trained.stat().st_mtime_ns > before)
                    assert state_of(home, three)["type"] == "RUNNING"
                    until(home, lambda: state_of(home, one)["type"] == "CRASHED")


@pytest.mark.slow
def test_of_two_late_nights_that_begin_at_once_the_last_one_runs_and_covers_the_other(team):
    """Prefect's own limit cancelled the second of them, which the first had left all rows to."""
    home, port = team
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    due = [today - timedelta(days=1), today]
    with server(home, port):
        deployed(home, schedule={"cron": "0 0 * * *", "timezone": "UTC"})
        runs = [night_asked(home, due=moment.isoformat()) for moment in due]
        with worker(home):
            until(home, lambda: all(state_of(home, one)["type"] == "COMPLETED" for one in runs))
    found = home.nocturne("status", "all/small.yaml", "--json").json["nights"]
    told = {night["logical_date"]: night["outcome"] for night in found}
    yesterday, last = (moment.date().isoformat() for moment in due)
    assert told == {yesterday: "skipped", last: "promoted"}


@pytest.mark.slow
def test_a_schedule_asks_a_server_that_is_away_until_it_is_back(team):
    """Prefect's own runner ends after three questions, and with it what it runs."""
    home, port = team
    asks = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    eager = type(home)(home.path, home.variables | asks)
    write(home, {**TINY, "name": "small", "candidates": TINY["candidates"][1:]})
    log = home.path / "schedule.log"
    with ExitStack() as first:
        killed = first.enter_context(server(home, port))
        schedule = eager.started("schedule", "all", log=log)
        first.callback(stop, schedule)
        until(home, lambda: ask(home, "deployments/filter", {}))
        time.sleep(5)
        os.killpg(killed.pid, 9)
        killed.wait()
        until(home, lambda: "Prefect does not answer" in log.read_text())
        time.sleep(15)
        assert schedule.poll() is None, log.read_text()
        with server(home, port):
            until(home, lambda: "Prefect answers again" in log.read_text())
            run = night_asked(home, "2026-03-01")
            until(home, lambda: state_of(home, run)["type"] == "COMPLETED")
            stop(schedule)
    assert log.read_text().count("Prefect does not answer") == 1


@pytest.mark.slow
def test_a_night_whose_server_does_not_come_back_ends_as_its_record_says(team):
    home, port = team
    impatient = type(home)(home.path, home.variables | {"PREFECT_CLIENT_MAX_RETRIES": "0"})
    training = {**ENDLESS, "epochs": 40, "patience": 40}
    candidates = [TINY["candidates"][1] | {"training": training}]
    write(home, {**TINY, "name": "small", "candidates": candidates})
    log = home.path / "night.log"
    with server(home, port) as killed:
        night = impatient.started("retrain", "all/small.yaml", "--date", "2026-03-01", log=log)
        work = home.path / ".nocturne" / "work" / "small"
        until(home, (work / "candidates" / "words" / "resume" / "model.npz").exists)
        os.killpg(killed.pid, 9)
        killed.wait()
        assert night.wait(600) == 0, log.read_text()
    assert "Prefect went away: the night is over" in log.read_text()
    found = home.nocturne("status", "all/small.yaml", "--json").json["nights"]
    assert [one["outcome"] for one in found] == ["promoted"]
