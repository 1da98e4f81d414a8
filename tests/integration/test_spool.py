"""Tracking while MLflow is away: nothing is lost, nothing waits long, all is replayed in order."""

import json
import logging
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.runs import Runs
from model_registry.spool import SpooledRuns
from tests.servers import free_port


@pytest.fixture
def place(toys, tmp_path):
    """A real store, and a spool whose first address is a closed port."""
    return tmp_path / "spool" / "spool.jsonl", Runs(toys.uri, "tickets")


def away(path):
    return SpooledRuns(Runs(f"http://127.0.0.1:{free_port()}", "tickets"), path)


def whole_night(runs, folder):
    night = runs.start("2026-03-01", parameters={"seed": 17}, tags={"kind": "night"})
    child = runs.start("lstm", parent=night, tags={"kind": "candidate"})
    runs.log_history(child, [{"loss": 1.0}, {"loss": 0.5}])
    runs.log_metrics(child, {"test_macro_f1": 0.7})
    digest = {"digest": "ab" * 32, "source": "rows.csv", "context": "training", "rows": 9}
    runs.log_dataset(night, "tickets.training", **digest)
    (folder / "report.html").write_text("<p>kept</p>")
    runs.log_artifacts(night, folder / "report.html")
    runs.tag(night, {"outcome": "kept"})
    runs.finish(child)
    runs.finish(night, "FINISHED")
    return night, child


def test_a_whole_night_without_a_server_is_brought_to_it_later(place, tmp_path, caplog):
    path, real = place
    began = time.time()
    night, child = whole_night(away(path), tmp_path)
    spooling = [m for m in caplog.messages if "tracking down, spooling" in m]
    assert len(spooling) == 1
    ids = SpooledRuns(real, path).replay()
    assert set(ids) == {night, child}
    assert not path.exists()
    run = real.client.get_run(ids[night])
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "kept")
    assert run.data.tags["spooled_as"] == night
    assert run.data.params == {"seed": "17"}
    assert began * 1000 - 1 <= run.info.start_time <= run.info.end_time <= time.time() * 1000
    assert [file.path for file in real.client.list_artifacts(ids[night])] == ["report.html"]
    assert real.children(ids[night]) == [ids[child]]
    history = real.client.get_metric_history(ids[child], "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5)]


def test_what_comes_while_something_waits_queues_behind_it(place):
    path, real = place
    run = real.start("night")
    away(path).tag(run, {"outcome": "first"})
    SpooledRuns(real, path).tag(run, {"outcome": "second"})
    assert "outcome" not in real.client.get_run(run).data.tags
    SpooledRuns(real, path).replay()
    assert real.client.get_run(run).data.tags["outcome"] == "second"


def test_a_replay_that_died_begins_no_run_twice(place, tmp_path):
    path, real = place
    whole_night(away(path), tmp_path)

    class Dies(Runs):
        def log_metrics(self, *arguments, **options):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SpooledRuns(Dies(real.uri, "tickets"), path).replay()
    SpooledRuns(real, path).replay()
    found = real.client.search_runs([real.experiment_id])
    assert len(found) == 2
    assert {run.info.status for run in found} == {"FINISHED"}


def test_a_line_that_was_cut_and_a_call_that_is_refused_stop_nobody(place, caplog):
    path, real = place
    run = real.start("night")
    spool = away(path)
    spool.tag("0" * 32, {"outcome": "of a run that is not there"})
    spool.finish(run)
    with path.open("a") as file:
        file.write('{"do": "tag", "giv')
    SpooledRuns(real, path).replay()
    assert real.client.get_run(run).info.status == "FINISHED"
    assert any(m.startswith("not logged, tag") for m in caplog.messages)


def test_no_secret_waits_in_the_spool(tmp_path):
    path = tmp_path / "spool.jsonl"
    url = "postgresql+psycopg2://ana:CANARY@db/tickets"
    away(path).start("night", parameters={"reader": {"url": url}}, tags={"why": url})
    assert "CANARY" not in path.read_text()
    assert json.loads(path.read_text().splitlines()[0])["do"] == "start"


def test_a_run_left_running_is_killed_and_one_begun_since_is_not(place):
    _, real = place
    left, other = real.start("night", tags={"kind": "night"}), real.start("by hand")
    now = time.time() + 0.001
    later = real.start("next", tags={"kind": "night"}, at=now + 60)
    assert real.end_running(now, {"ended_by": "found dead"}) == [left]
    assert real.client.get_run(left).info.status == "KILLED"
    assert real.client.get_run(left).data.tags["ended_by"] == "found dead"
    assert {real.client.get_run(run).info.status for run in (other, later)} == {"RUNNING"}


@contextmanager
def locked(database):
    """A second connection that lets nobody else in."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_store_that_is_locked_for_seconds_is_only_slow(toys):
    runs = Runs(toys.uri, "tickets")
    run = runs.start("night")
    with locked(toys.folder / "mlflow.db") as other:
        threading.Timer(5, other.rollback).start()
        runs.log_metrics(run, {"macro_f1": 0.7})
    assert runs.client.get_run(run).data.metrics == {"macro_f1": 0.7}


def test_a_store_that_stays_locked_is_busy_and_the_night_goes_on(toys, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    runs = SpooledRuns(Runs(toys.uri, "tickets"), tmp_path / "spool.jsonl")
    run = runs.start("night")
    with locked(toys.folder / "mlflow.db"), ThreadPoolExecutor(1) as beside:
        refused = beside.submit(runs.runs.log_metrics, run, {"macro_f1": 0.6})  # waits as long
        runs.log_metrics(run, {"macro_f1": 0.7})
        assert runs.waiting
        with pytest.raises(RegistryUnreachable, match="registry busy"):
            refused.result()
    runs.replay()
    assert runs.runs.client.get_run(run).data.metrics == {"macro_f1": 0.7}


def test_a_closed_port_is_told_within_the_bound(tmp_path):
    runs = Runs(f"http://127.0.0.1:{free_port()}", "tickets")
    began = time.monotonic()
    with pytest.raises(RegistryError, match="does not answer"):
        runs.start("night")
    assert time.monotonic() - began < 60  # seconds of a loaded machine; 246 without a bound
