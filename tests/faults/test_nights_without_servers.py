"""MLflow's server dies, hangs or its database is locked while a night runs."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

from tests import servers
from tests.command_line import night_home_in
from tests.faults.invariants import violations
from tests.faults.nights import TINY, Night, as_if_nothing_had_happened, ended, opened, stops

pytestmark = pytest.mark.slow


@contextmanager
def mlflow(night, port):
    """MLflow's server on the store that the night's home has."""
    arguments = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{night.place / 'mlflow.db'}"]
    arguments += ["--artifacts-destination", str(night.place / "mlflow_artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    health, log = f"http://127.0.0.1:{port}/health", night.home.path / "server.txt"
    night.place.mkdir(exist_ok=True)
    with servers.running(arguments, health, log, environment=environment) as server:
        yield server


def goes_on_after(night, point, fault):
    """A night that stops at a point, where a fault strikes, and how it ended how soon."""
    process, said = night.begin(NOCTURNE_FAILPOINT=f"{point}:stop")
    try:
        stops(process, said)
        fault()
        began = time.monotonic()
    finally:
        process.send_signal(signal.SIGCONT)
    return ended(process, said), time.monotonic() - began


def test_a_server_that_is_killed_and_one_that_hangs_in_a_night(tmp_path):
    port = servers.free_port()
    home = night_home_in(tmp_path, NOCTURNE_MLFLOW_URL=f"http://127.0.0.1:{port}")
    night = Night(home, home.write(TINY))
    with mlflow(night, port) as server:
        killed, took = goes_on_after(
            night, "after_train", lambda: os.killpg(server.pid, signal.SIGKILL)
        )
    away(night, killed, took)
    with mlflow(night, port) as server:
        hung, took = goes_on_after(
            night, "after_evaluate", lambda: os.killpg(server.pid, signal.SIGSTOP)
        )
        os.killpg(server.pid, signal.SIGCONT)
        away(night, hung, took)
        back = night.run()
        assert back.returncode == 0, back.stderr
        assert "calls that had waited are in MLflow now" in hung.stderr + back.stderr
        assert violations(*opened(night)) == []
    as_if_nothing_had_happened(night)


def away(night, run, took):
    """It said so once, lost nothing, and came to its end in the time of a few calls."""
    assert run.returncode == 1, run.stderr
    assert "does not answer" in night.record()["reason"]
    assert run.stderr.count("tracking down, spooling") == 1
    print(f"ended {took:.0f} s after MLflow went")
    assert took < 200, run.stderr  # 15 s a call; one without a bound takes 246


@pytest.mark.parametrize("seconds", [5, 60])
def test_a_store_that_is_locked_in_a_night(tmp_path, seconds):
    home = night_home_in(tmp_path)
    night = Night(home, home.write(TINY))
    night.place.mkdir()
    database = night.place / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:

        def lock():
            other.execute("begin exclusive")
            threading.Timer(seconds, other.rollback).start()

        run, _ = goes_on_after(night, "after_evaluate", lock)
    if seconds == 5:
        assert run.returncode == 0, run.stderr
        assert "database is locked" not in run.stderr
    elif run.returncode:
        assert "registry busy" in night.record()["reason"]
        run = night.run()
    assert run.returncode == 0, run.stderr
    as_if_nothing_had_happened(night)
    assert violations(*opened(night)) == []
