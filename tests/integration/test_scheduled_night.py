"""A schedule that is due soon, on a Prefect server, an MLflow server and S3: the night runs alone.

With the wrong library versions a cron schedule silently never fires; only this test sees it. Each
process has on S3 what its role in `infra/terraform` may do, and no more.
"""

import json
import os
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from tasks import reference_rows
from tasks.datasets.synthetic import read_synthetic
from tests import live_days
from tests.command_line import Home, home_in
from tests.faults.nights import TINY
from tests.policed_s3 import BUCKET, Cloud, policed_s3
from tests.prefect_database import with_empty_database
from tests.servers import free_port, running, stop

ROWS = f"s3://{BUCKET}/incoming/tickets.csv"
PIPELINE = {
    **TINY,
    "name": "small",
    "source": {"reader": {"name": "csv", "options": {"path": ROWS}}},
    "candidates": TINY["candidates"][1:],
    "gates": ["finite"],
    "retention": {"live_days": 1},
    "monitoring": {"alarm_after": {"k": 1, "of": 1}, "min_rows": 20},
}
LINES = ("words: 8 of 8", "ledger small, entry 2: done: v1 is in Production")
LATER = """
from datetime import UTC, datetime, timedelta
from pathlib import Path
from flows.cleaning import clean
from tasks.pipeline_file import load_pipeline
now = datetime.now(UTC) + timedelta(days=2)
clean(load_pipeline(Path("conf/small.yaml")), by="tests", now=now)
"""


@dataclass
class Team:
    """A home whose Prefect, MLflow and store are servers, as a team would have them."""

    cloud: Cloud
    home: Home

    def as_a(self, role):
        """The home of a process that has this role on S3."""
        return replace(self.home, variables=self.home.variables | self.cloud.variables(role))


@pytest.fixture(scope="module")
def team(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("team")
    shutil.copy(empty_store, folder / "mlflow.db")
    ports = [free_port() for _ in range(2)]
    prefect, mlflow = (f"http://127.0.0.1:{port}" for port in ports)
    environment = dict(os.environ) | {
        "PREFECT_HOME": str(with_empty_database(folder / "prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    server = ("server", "start", "--host", "127.0.0.1", "--port", str(ports[0]))
    store = ("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}")
    artifacts = ("--artifacts-destination", f"s3://{BUCKET}/mlflow", "--workers", "1")
    place = ("--host", "127.0.0.1", "--port", str(ports[1]))
    with policed_s3(folder) as cloud, ExitStack() as stack, ThreadPoolExecutor() as starts:
        environment |= {"MLFLOW_S3_ENDPOINT_URL": cloud.url, **cloud.variables("registry")}
        commands = (
            (["prefect", *server], f"{prefect}/api/health"),
            (["mlflow", "server", *store, *artifacts, *place], f"{mlflow}/health"),
        )
        servers = [
            running(arguments, health, folder / f"{arguments[0]}.log", environment=environment)
            for arguments, health in commands
        ]
        list(starts.map(stack.enter_context, servers))
        home = home_in(
            folder,
            NOCTURNE_PREFECT_URL=f"{prefect}/api",
            NOCTURNE_MLFLOW_URL=mlflow,
            NOCTURNE_STORE=f"s3://{BUCKET}/store",
            NOCTURNE_S3_ENDPOINT=cloud.url,
            NOCTURNE_SERVE_AS_ROOT="1",
        )
        tickets = read_synthetic(datetime.now(UTC), days=24).to_pandas().to_csv(index=False)
        cloud.root.put_object(Bucket=BUCKET, Key="incoming/tickets.csv", Body=tickets.encode())
        yield Team(cloud, home)


@pytest.fixture
def trainer(team):
    return team.as_a("trainer")


@pytest.fixture
def store(team, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(team.cloud.certificate))
    return team.cloud.store()


def test_a_night_runs_by_itself_when_its_schedule_is_due_and_promotes(trainer):
    """Due every minute, so that a machine that is slow to start the schedule misses nothing."""
    conf = trainer.write(PIPELINE, schedule={"cron": "* * * * *", "timezone": "UTC"})
    log = trainer.path / "schedule.log"
    served = trainer.started("schedule", conf, log=log)
    try:
        run = _first_run(trainer, served, log)
        for line in LINES:
            _until(lambda line=line: any(line in told for told in _logs(trainer)), log)
    finally:
        stop(served)
    said = log.read_text()
    assert served.returncode == 0
    assert "was never awaited" not in said
    assert "Traceback" not in said, said
    assert "denied" not in said.lower(), said
    assert run["state_type"] == "COMPLETED", said[-4000:]
    assert run["auto_scheduled"]
    assert run["state"]["message"].startswith("promoted: ")
    status = trainer.nocturne("status", conf, "--json").json
    assert status["champion"]["version"] == "1"
    nights = {night["logical_date"]: night["outcome"] for night in status["nights"]}
    assert nights[run["expected_start_time"][:10]] == "promoted"
    assert all(f"small: {line}" in said for line in LINES), said


def test_live_inputs_that_drift_raise_an_alarm_that_starts_a_night(trainer, store):
    """Goes on where the night before left its reference and its automation."""
    conf = str(trainer.path / "conf" / "small.yaml")
    reference = reference_rows.read(store, "small", "1")
    quiet, drifted = date(2026, 3, 1), date(2026, 3, 2)
    live_days.logged(store, "small", quiet, reference)
    at = reference.column_names.index("text")
    texts = [f"purple {text}" for text in reference.column("text").to_pylist()]
    moved = reference.set_column(at, "text", pa.array(texts))
    live_days.logged(store, "small", drifted, moved)
    before = {run["id"] for run in _flow_runs(trainer)}
    days = (quiet, drifted, drifted)
    asked = [("monitor", conf, "--date", day.isoformat(), "--json") for day in days]
    found, alarm, again = trainer.one_after_another(*asked)
    assert (found.code, found.json["conspicuous"]) == (0, False), found.err
    assert (alarm.code, alarm.json["alarm"]) == (3, True), alarm.err
    assert alarm.json["event"]
    assert "'purple'" in alarm.json["reason"]
    assert again.json == alarm.json
    assert len(_automatic(trainer, before)) == 1


def test_the_scoring_server_answers_and_keeps_what_it_heard(team, store):
    """By what it may read, and may write; it asks MLflow for all else."""
    conf, port = str(team.home.path / "conf" / "small.yaml"), free_port()
    log = team.home.path / "serve.log"
    served = team.as_a("server").started("serve", conf, "--port", str(port), log=log)
    try:
        _until(lambda: _ready(port), log)
        rows = {"dataframe_records": [{"text": "where is my parcel"}]}
        assert _answer(f"http://127.0.0.1:{port}/invocations", rows)["predictions"]
    finally:
        stop(served)
    assert any(store.keys("requests/small/"))
    assert "denied" not in log.read_text().lower(), log.read_text()


def test_a_batch_is_scored_into_the_bucket_and_leaves_no_lease(team, trainer):
    conf = str(trainer.path / "conf" / "small.yaml")
    scored = trainer.nocturne("score", conf, ROWS, f"s3://{BUCKET}/outgoing/tickets")
    assert scored.code == 0, scored.err
    assert "lease" not in scored.err
    found = team.cloud.root.list_objects_v2(Bucket=BUCKET, Prefix="outgoing/tickets/")
    assert "outgoing/tickets/_SUCCESS" in {one["Key"] for one in found["Contents"]}


def test_a_person_approves_who_may_write_decisions_alone(team, trainer):
    """A challenger of another day, which waits for a word."""
    conf = trainer.write(PIPELINE, policy={"approval": "required"})
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    night = trainer.nocturne("retrain", conf, "--date", yesterday)
    assert night.code == 3, night.err
    status, approved, after = team.as_a("promoter").one_after_another(
        ("status", conf, "--json"),
        ("approve", conf, "--reason", "seen", "--json"),
        ("status", conf, "--json"),
    )
    assert status.json["champion"]["version"] == "1"
    assert approved.code == 0, approved.err
    assert after.json["champion"]["version"] == "2"


def test_who_keeps_retention_deletes_old_logs_and_no_decision(team, store):
    """Goes on where the alarm left the inputs of two days."""
    ledger = list(store.keys("ledger/small/"))
    logged = list(store.keys("requests/small/2026-03-0"))
    ran = team.as_a("retention").python("-c", LATER)
    assert ran.returncode == 0, ran.stderr
    assert logged
    assert not any(store.keys("requests/small/2026-03-0"))
    assert any(store.keys("requests/small/"))  # what the server heard today
    assert set(ledger) <= set(store.keys("ledger/small/"))


def _automatic(home, before, *, patience_seconds=60):
    """Runs that an automation made since."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        new = [run for run in _flow_runs(home) if run["id"] not in before]
        made = [run for run in new if (run["created_by"] or {}).get("type") == "AUTOMATION"]
        if made:
            return made
        time.sleep(0.5)
    return []


def _first_run(home, served, log, *, patience_seconds=900):
    """Wait until a run of the scheduler's own ended; those due while it ran are cancelled."""
    deadline = time.monotonic() + patience_seconds
    ended = {"COMPLETED", "FAILED", "CRASHED"}
    while time.monotonic() < deadline:
        assert served.poll() is None, log.read_text()[-4000:]
        over = [run for run in _flow_runs(home) if run["state_type"] in ended]
        if over:
            return min(over, key=lambda run: run["expected_start_time"])
        time.sleep(1)
    raise AssertionError(f"no night ended in {patience_seconds} s\n{log.read_text()[-4000:]}")


def _flow_runs(home):
    return _answer(home.variables["NOCTURNE_PREFECT_URL"] + "/flow_runs/filter", {})


def _logs(home):
    """What Prefect's page shows of the runs."""
    found = _answer(home.variables["NOCTURNE_PREFECT_URL"] + "/logs/filter", {"limit": 200})
    return [record["message"] for record in found]


def _answer(url, content):
    """What comes of a document that is posted."""
    request = urllib.request.Request(
        url,
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _until(holds, log, *, patience_seconds=120):
    deadline = time.monotonic() + patience_seconds
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.5)


def _ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5):
            return True
    except OSError:
        return False
