"""Small whole nights that are killed at a named moment, and what must hold afterwards."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace

from infra.local import LocalStorage
from model_registry.fitness import Fitness
from model_registry.ledger import Ledger
from model_registry.mirror import MlflowMirror
from model_registry.signing import public_key_of
from model_registry.store import Registry
from tests.command_line import SMALL_PIPELINE, Home

DAY = "2026-03-01"
TINY = {
    **SMALL_PIPELINE,
    "name": "tiny",
    "candidates": [
        SMALL_PIPELINE["candidates"][0],
        {
            "name": "words",
            "architecture": {"name": "averaged_embeddings", "options": {"embedding": 32}},
            "training": {"epochs": 8, "learning_rate": 0.03},
        },
    ],
}


@dataclass(frozen=True)
class Night:
    """One night of one home, run as often as it takes."""

    home: Home
    conf: str
    day: str = DAY

    def on(self, day):
        return replace(self, day=day)

    @property
    def command(self):
        return [sys.executable, "-m", "flows.cli", "retrain", self.conf, "--date", self.day]

    def run(self, failpoint="", **variables):
        """Run it to its end, which may be a failpoint; a starved server has time to begin."""
        process, said = self.begin(NOCTURNE_FAILPOINT=failpoint, **variables)
        process.wait(timeout=1_500)
        return subprocess.CompletedProcess(self.command, process.returncode, "", said.read_text())

    def begin(self, **variables):
        """The process, and the file it writes to: its embedded server would hold a pipe open."""
        said = self.home.path / f"said-{uuid.uuid4().hex}.txt"
        with said.open("w") as output:
            process = subprocess.Popen(
                self.command,
                cwd=self.home.path,
                env=self.environment | variables,
                stdout=output,
                stderr=output,
            )
        return process, said

    @property
    def environment(self):
        patience = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600"}
        return self.home.environment | patience

    @property
    def place(self):
        return self.home.path / ".nocturne"

    @contextmanager
    def as_it_is(self, aside):
        """Whatever the block does, it begins there again; but for Prefect's log of the runs."""
        shutil.copytree(self.place, aside, ignore=shutil.ignore_patterns("prefect"))
        try:
            yield
        finally:
            for path in self.place.iterdir():
                if path.is_dir() and path.name != "prefect":
                    shutil.rmtree(path)
                elif path.is_file():
                    path.unlink()
            shutil.copytree(aside, self.place, dirs_exist_ok=True)

    def record(self):
        return json.loads(self.records()[-1].read_text())

    def records(self):
        """What its runs wrote, each under its lease; the last one counts."""
        return sorted((self.place / "store" / "nights" / "tiny" / self.day).iterdir())

    def runs(self):
        """MLflow's runs: status by id."""
        return dict(query(self.place / "mlflow.db", "select run_uuid, status from runs"))

    def versions(self):
        sql = "select version, current_stage from model_versions order by version"
        return [(str(v), stage) for v, stage in query(self.place / "mlflow.db", sql)]

    def flow_states(self):
        database = self.place / "prefect" / "prefect.db"
        return [state for (state,) in query(database, "select state_type from flow_run")]


def query(database, sql):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def as_if_nothing_had_happened(night):
    """One record, one version, who serves is who won, nothing running anywhere."""
    record = night.record()
    assert record["outcome"] == "promoted", record["reason"]
    assert record["challenger"] == "words"
    assert record["champion_before"] is None
    assert (record["version"], record["stage"]) == ("1", "Production")
    assert night.versions() == [("1", "Production")]
    assert night.runs()[record["run_id"]] == "FINISHED"
    assert "RUNNING" not in night.runs().values()
    assert "RUNNING" not in night.flow_states()


def ended(process, said):
    """How a process that goes on ends, and what it said."""
    process.wait(timeout=600)
    return subprocess.CompletedProcess((), process.returncode, "", said.read_text())


def stops(process, said):
    """Wait until it stops itself, as a failpoint told it to."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), said.read_text()


def opened(night, database=None):
    """The ledger of a night's home, MLflow's page, and whether a version can serve.

    A database that was replaced is read from a copy: MLflow keeps files open by their names.
    """
    uri = night.home.variables.get("NOCTURNE_MLFLOW_URL")
    uri = uri or f"sqlite:///{database or night.place / 'mlflow.db'}"
    registry, key = Registry(uri), public_key_of(night.place / "keys" / "signing.key")
    ledger = Ledger(LocalStorage(night.place / "store"), "tiny")
    return ledger, MlflowMirror(registry, "tiny"), Fitness(registry, "tiny", key)
