"""A schedule that is due soon, on a Prefect server, an MLflow server and S3: the night runs alone.

With the wrong library versions a cron schedule silently never fires; only this test sees it.
"""

import json
import os
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date

import boto3
import pyarrow as pa
import pytest

from infra.settings import Settings
from infra.storage import open_storage
from tasks import reference_rows
from tests import live_days
from tests.command_line import home_in
from tests.faults.nights import TINY
from tests.prefect_database import with_empty_database
from tests.servers import free_port, running, stop


@pytest.fixture(scope="module")
def team(tmp_path_factory, empty_store):
    """A home whose Prefect, MLflow and store are servers, as a team would have them."""
    folder = tmp_path_factory.mktemp("team")
    shutil.copy(empty_store, folder / "mlflow.db")
    ports = [free_port() for _ in range(3)]
    prefect, mlflow, s3 = (f"http://127.0.0.1:{port}" for port in ports)
    environment = dict(os.environ) | {
        "PREFECT_HOME": str(with_empty_database(folder / "prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    server = ("server", "start", "--host", "127.0.0.1", "--port", str(ports[0]))
    store = ("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}")
    artifacts = ("--artifacts-destination", str(folder / "artifacts"), "--workers", "1")
    place = ("--host", "127.0.0.1", "--port", str(ports[1]))
    commands = (
        (["prefect", *server], f"{prefect}/api/health"),
        (["mlflow", "server", *store, *artifacts, *place], f"{mlflow}/health"),
        (["moto.server", "-H", "127.0.0.1", "-p", str(ports[2])], s3),
    )
    servers = [
        running(arguments, health, folder / f"{arguments[0]}.log", environment=environment)
        for arguments, health in commands
    ]
    with ExitStack() as stack, ThreadPoolExecutor(len(servers)) as starts:
        list(starts.map(stack.enter_context, servers))
        client = boto3.client(
            "s3",
            endpoint_url=s3,
            region_name="us-east-1",
            aws_access_key_id="night",
            aws_secret_access_key="watch",
        )
        client.create_bucket(Bucket="nocturne")
        yield home_in(
            folder,
            NOCTURNE_PREFECT_URL=f"{prefect}/api",
            NOCTURNE_MLFLOW_URL=mlflow,
            NOCTURNE_STORE="s3://nocturne/team",
            NOCTURNE_S3_ENDPOINT=s3,
            NOCTURNE_S3_ACCESS_KEY="night",
            NOCTURNE_S3_SECRET_KEY="watch",
        )


def test_a_night_runs_by_itself_when_its_schedule_is_due_and_promotes(team):
    """Due every minute, so that a machine that is slow to start the schedule misses nothing."""
    conf = team.write(
        {**TINY, "name": "small", "candidates": TINY["candidates"][1:]},
        gates=["finite"],
        schedule={"cron": "* * * * *", "timezone": "UTC"},
        monitoring={"alarm_after": {"k": 1, "of": 1}, "min_rows": 20},
    )
    log = team.path / "schedule.log"
    served = team.started("schedule", conf, log=log)
    try:
        run = _first_run(team, served, log)
    finally:
        stop(served)
    assert "was never awaited" not in log.read_text()
    assert run["state_type"] == "COMPLETED", log.read_text()[-4000:]
    assert run["auto_scheduled"]
    assert run["state"]["message"].startswith("promoted: ")
    status = team.nocturne("status", conf, "--json").json
    assert status["champion"]["version"] == "1"
    nights = {night["logical_date"]: night["outcome"] for night in status["nights"]}
    assert nights[run["expected_start_time"][:10]] == "promoted"


def test_live_inputs_that_drift_raise_an_alarm_that_starts_a_night(team):
    """Goes on where the night before left its reference and its automation."""
    conf = str(team.path / "conf" / "small.yaml")
    store = open_storage(_settings(team))
    reference = reference_rows.read(store, "small", "1")
    quiet, drifted = date(2026, 3, 1), date(2026, 3, 2)
    live_days.logged(store, "small", quiet, reference)
    at = reference.column_names.index("text")
    texts = [f"purple {text}" for text in reference.column("text").to_pylist()]
    moved = reference.set_column(at, "text", pa.array(texts))
    live_days.logged(store, "small", drifted, moved)
    before = {run["id"] for run in _flow_runs(team)}
    days = (quiet, drifted, drifted)
    asked = [("monitor", conf, "--date", day.isoformat(), "--json") for day in days]
    found, alarm, again = team.one_after_another(*asked)
    assert (found.code, found.json["conspicuous"]) == (0, False), found.err
    assert (alarm.code, alarm.json["alarm"]) == (3, True), alarm.err
    assert alarm.json["event"]
    assert "'purple'" in alarm.json["reason"]
    assert again.json == alarm.json
    assert len(_automatic(team, before)) == 1


def _automatic(team, before, *, patience_seconds=60):
    """Runs that an automation made since."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        new = [run for run in _flow_runs(team) if run["id"] not in before]
        made = [run for run in new if (run["created_by"] or {}).get("type") == "AUTOMATION"]
        if made:
            return made
        time.sleep(0.5)
    return []


def _settings(team):
    given = {
        name.removeprefix("NOCTURNE_").lower(): value
        for name, value in team.variables.items()
        if name.startswith(("NOCTURNE_S3", "NOCTURNE_STORE", "NOCTURNE_HOME"))
    }
    return Settings(**given)


def _first_run(team, served, log, *, patience_seconds=900):
    """Wait until a run of the scheduler's own ended; those due while it ran are cancelled."""
    deadline = time.monotonic() + patience_seconds
    ended = {"COMPLETED", "FAILED", "CRASHED"}
    while time.monotonic() < deadline:
        assert served.poll() is None, log.read_text()[-4000:]
        over = [run for run in _flow_runs(team) if run["state_type"] in ended]
        if over:
            return min(over, key=lambda run: run["expected_start_time"])
        time.sleep(1)
    raise AssertionError(f"no night ended in {patience_seconds} s\n{log.read_text()[-4000:]}")


def _flow_runs(team):
    url = team.variables["NOCTURNE_PREFECT_URL"] + "/flow_runs/filter"
    request = urllib.request.Request(
        url, data=b"{}", headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)
