"""A night on PostgreSQL, MLflow, Prefect and S3 while they die, and a platform killed part by part.

Everything is `nocturne up`'s own; nights find its servers by the home alone.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

import pytest

from flows.reaping import UNLEASED_SECONDS
from infra.platform import processes
from infra.settings import Settings
from infra.storage import S3Storage
from model_registry.fitness import Fitness
from model_registry.ledger import Ledger
from model_registry.mirror import MlflowMirror
from model_registry.runs import Runs
from model_registry.signing import public_key_of
from model_registry.store import Registry
from tests.faults.invariants import violations
from tests.faults.nights import DAY, TINY, stops
from tests.platforms import PASSWORD, home_for_all, needs_postgresql, until, up
from tests.relay import Relay

pytestmark = pytest.mark.slow

OUTAGE_SECONDS = 45  # longer than a call to MLflow waits


@dataclass
class Team:
    """A home, its S3 behind a wire, and the platform that runs at the moment."""

    home: object
    relay: Relay
    settings: Settings
    bucket: str
    conf: str
    up: object = None

    @property
    def store(self):
        return S3Storage(self.bucket, "team", settings=self.settings)

    def begin(self, failpoint):
        said = self.home.path / f"night-{failpoint.partition(':')[0]}.log"
        command = [sys.executable, "-m", "flows.cli", "retrain", self.conf, "--date", DAY]
        with said.open("wb") as output:
            environment = self.home.environment | {"NOCTURNE_FAILPOINT": failpoint}
            night = subprocess.Popen(
                command, cwd=self.home.path, env=environment, stdout=output, stderr=output
            )
        return night, said

    def violations(self):
        registry, home = Registry(self.up.facts["mlflow"]), self.home.path / ".nocturne"
        key = public_key_of(home / "keys" / "signing.key")
        mirror, unfit = MlflowMirror(registry, "tiny"), Fitness(registry, "tiny", key)
        return violations(Ledger(self.store, "tiny"), mirror, unfit)

    def record(self):
        return json.loads(self.store.get(f"nights/tiny/{DAY}.json"))

    def prefect(self, path, body):
        from infra.orchestration import prefect_headers

        request = urllib.request.Request(
            self.up.facts["prefect"] + path, json.dumps(body).encode(), prefect_headers()
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def parts(self):
        headers = {"Authorization": self.basic}
        request = urllib.request.Request(self.up.facts["page"] + "state.json", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return {part["name"]: part for part in json.load(answer)["parts"]}

    def change_password(self):
        """Who knows the old one is let in no more, MLflow's accounts included."""
        self.home.variables["NOCTURNE_UP_PASSWORD"] = "another-password-of-up"
        os.environ["MLFLOW_TRACKING_PASSWORD"] = "another-password-of-up"
        os.environ["PREFECT_API_AUTH_STRING"] = "nocturne:another-password-of-up"

    @property
    def basic(self):
        from infra.orchestration import prefect_headers

        return prefect_headers()["Authorization"]


@pytest.fixture(scope="module")
def team(s3_server):
    needs_postgresql()
    pytest.importorskip("flask_wtf", reason="flask-wtf is not installed (extra `servers`)")
    bucket = s3_server.storage().bucket
    known = {
        "MLFLOW_TRACKING_USERNAME": "nocturne",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "PREFECT_API_AUTH_STRING": f"nocturne:{PASSWORD}",
    }
    with Relay(s3_server.port) as relay, pytest.MonkeyPatch.context() as patched:
        for name, value in known.items():
            patched.setenv(name, value)
        settings = s3_server.settings(relay.port)
        variables = {
            "NOCTURNE_UP_PASSWORD": PASSWORD,
            "NOCTURNE_STORE": f"s3://{bucket}/team",
            "NOCTURNE_S3_ENDPOINT": settings.s3_endpoint,
            "NOCTURNE_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
            "NOCTURNE_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        }
        with home_for_all(**variables) as home:
            conf = home.write(TINY, schedule={"cron": "0 0 1 1 *"})
            found = Team(home, relay, settings, bucket, conf)
            with up(home) as running:
                found.up = running
                yield found


def test_a_night_goes_on_over_a_dead_database_and_a_dead_store(team):
    night = team.begin("after_prepare:stop")
    stops(*night)
    team.relay.end()
    night[0].send_signal(signal.SIGCONT)
    assert night[0].wait(900) == 1, night[1].read_text()[-4000:]
    assert "S3 unreachable" in night[1].read_text()
    team.relay.mend()
    assert team.violations() == []

    night = team.begin("after_evaluate:stop")
    stops(*night)
    database = team.up.pid("postgres")
    team.up.process.send_signal(signal.SIGSTOP)  # or the database would be back within a second
    os.kill(database, signal.SIGKILL)
    night[0].send_signal(signal.SIGCONT)
    time.sleep(OUTAGE_SECONDS)
    team.up.process.send_signal(signal.SIGCONT)
    code = night[0].wait(900)
    print("the outage", "cost the run" if code else "was waited out")
    assert code in {0, 1}, night[1].read_text()[-4000:]
    until(lambda: all(part["state"] == "healthy" for part in team.parts().values()))
    assert team.violations() == []

    last = team.home.nocturne("retrain", team.conf, "--date", DAY, "--json")
    assert last.code == 0, last.err
    record = team.record()
    assert (record["outcome"], record["challenger"]) == ("promoted", "words"), record["reason"]
    assert (record["version"], record["stage"]) == ("1", "Production")
    registry = Registry(team.up.facts["mlflow"])
    assert [(v.version, v.stage) for v in registry.versions("tiny")] == [("1", "Production")]
    assert team.violations() == []
    runs = Runs(team.up.facts["mlflow"], "tiny")
    assert runs.client.get_run(record["run_id"]).info.status == "FINISHED"
    assert runs.end_running(time.time(), {}) == []
    running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "CANCELLING"]}}}}
    if team.prefect("/flow_runs/filter", running):  # of the run that could not tell Prefect
        time.sleep(UNLEASED_SECONDS)
        assert team.home.nocturne("status", team.conf).code == 0
    assert team.prefect("/flow_runs/filter", running) == []
    assert team.home.nocturne("verify", team.conf).code == 0


def test_every_part_that_is_killed_comes_back_and_the_champion_answers(team):
    scored = until(lambda: team.parts().get("scoring-tiny", {}).get("state") == "healthy")
    assert scored
    for name in ("scoring-tiny", "schedules", "mlflow", "prefect", "postgres"):
        before = team.parts()[name]
        os.kill(before["pid"], signal.SIGKILL)

        def back(name=name, before=before):
            found = team.parts()[name]
            return found["state"] == "healthy" and found["pid"] != before["pid"]

        until(back, 300)
        assert team.parts()[name]["restarts"] == before["restarts"] + 1
    until(lambda: all(part["state"] == "healthy" for part in team.parts().values()), 300)
    assert team.violations() == []
    assert _scored(team)


def test_after_a_kill_of_the_supervisor_scoring_goes_on_and_the_next_one_comes_up(team):
    kept = {process.pid for process in team.up.marked()}
    os.kill(team.up.process.pid, signal.SIGKILL)
    team.up.process.wait()
    assert _scored(team)
    assert {process.pid for process in team.up.marked()} >= kept - {team.up.process.pid}
    team.change_password()
    with up(team.home) as again:
        team.up = again
        assert not kept & {process.pid for process in again.marked()}
        until(lambda: team.parts().get("scoring-tiny", {}).get("state") == "healthy")
        assert until(lambda: _scored(team))
        status = team.home.nocturne("status", team.conf, "--json").json
        assert status["champion"]["version"] == "1"
        assert status["served"].startswith("next night due"), status["served"]
        assert team.violations() == []
        everything = again.marked()
        assert again.end() == 0, again.log.read_text()[-3000:]
    assert not [process for process in everything if processes.runs(process)]
    down = team.home.nocturne("down", "--json")
    assert (down.code, down.json) == (0, {"ended": ["nothing was running"]})


def _scored(team):
    """Whether a row is answered by version 1."""
    port = team.home.variables["NOCTURNE_SERVE_PORT"]
    body = {"dataframe_records": [{"text": "where is my parcel"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["model_version"] == "1"
    except OSError:
        return False
