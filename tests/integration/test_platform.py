"""`nocturne up` for real: who is let in, what is refused, and a database and a store that die.

One platform for all: PostgreSQL where there is one, S3 behind a wire that can be cut, a password.
"""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from infra.platform import processes
from infra.platform.access import Access
from infra.settings import Settings
from infra.storage import S3Storage, StorageError
from model_registry.errors import RegistryError
from model_registry.ledger import Ledger
from model_registry.mirror import MlflowMirror
from model_registry.protocol import Promotions
from tests.command_line import SMALL_PIPELINE
from tests.faults.invariants import violations
from tests.platforms import PASSWORD, home_for_all, needs_postgresql, until, up
from tests.registry import Toys, asked
from tests.relay import Relay

ACCESS = Access.of(Settings(up_password=PASSWORD), uid=1)
LET_IN = {"Authorization": ACCESS.basic}
WRONG = {"Authorization": "Basic bm9jdHVybmU6d3Jvbmc="}
BEARER = {"Authorization": f"Bearer {PASSWORD}"}
FOREIGN = {"Host": "evil.example"}
PAGE_OF_SOMEBODY = {"Origin": "http://evil.example"}


@dataclass
class Place:
    """The platform, its S3 and the wire between them."""

    up: object
    bucket: str
    relay: Relay
    settings: Settings

    @cached_property
    def store(self):
        return S3Storage(self.bucket, "team", settings=self.settings)


@pytest.fixture(scope="module")
def place(s3_server):
    pytest.importorskip("flask_wtf", reason="flask-wtf is not installed (extra `servers`)")
    bucket = s3_server.storage().bucket
    with Relay(s3_server.port) as relay:
        settings = s3_server.settings(relay.port)
        variables = {
            "NOCTURNE_UP_PASSWORD": PASSWORD,
            "NOCTURNE_UP_ALLOWED_HOSTS": "nocturne.example",
            "NOCTURNE_STORE": f"s3://{bucket}/team",
            "NOCTURNE_S3_ENDPOINT": settings.s3_endpoint,
            "NOCTURNE_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
            "NOCTURNE_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        }
        with home_for_all(**variables) as home:
            reader = {"name": "sql", "options": {"url": "${NOBODYS_DATABASE}", "query": "SELECT 1"}}
            home.write(SMALL_PIPELINE, source={"reader": reader})
            with up(home) as running:
                yield Place(running, bucket, relay, settings)


def ask(url, headers=LET_IN, body=None, method=None):
    """Status and text of an answer."""
    data = json.dumps(body).encode() if body is not None else None
    said = {"Content-Type": "application/json"} | headers
    request = urllib.request.Request(url, data=data, headers=said, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_says_what_it_runs_on(place):
    facts = place.up.facts
    kinds = ("PostgreSQL below this home", "SQLite (no PostgreSQL is installed)")
    assert facts["database"].startswith(kinds)
    assert facts["store"] == place.store.uri
    assert [part["name"] for part in facts["parts"]][-2:] == ["prefect", "mlflow"]
    assert "NOBODYS_DATABASE of its source is not set" in facts["left_out"]["small"]
    assert {part["state"] for part in facts["parts"]} == {"healthy"}
    status, page = ask(facts["page"])
    assert (status, facts["mlflow"] in page) == (200, True)


MODEL = "/api/2.0/mlflow/registered-models/create"
EXPERIMENTS = "/api/2.0/mlflow/experiments/get?experiment_id=0"
POOL = {"name": "evil", "type": "process"}


@pytest.mark.parametrize("headers", [{}, WRONG, BEARER], ids=["none", "wrong", "bearer"])
@pytest.mark.parametrize(
    ("server", "path", "body"),
    [
        ("mlflow", EXPERIMENTS, None),
        ("mlflow", "/", None),
        ("mlflow", MODEL, {"name": "evil"}),
        ("mlflow", "/api/2.0/mlflow-artifacts/artifacts?path=", None),
        ("mlflow", "/graphql", {"query": "{ test }"}),
        ("prefect", "/work_pools/", POOL),
        ("prefect", "/flow_runs/filter", {}),
        ("prefect", "/admin/settings", None),
        ("page", "state.json", None),
    ],
)
def test_without_the_password_nobody_is_let_in(place, server, path, body, headers):
    status, text = ask(place.up.facts[server] + path, headers, body)
    assert status in {401, 501 if server == "page" else 401}, text


@pytest.mark.parametrize("headers", [FOREIGN, PAGE_OF_SOMEBODY], ids=["host", "origin"])
@pytest.mark.parametrize(
    ("server", "path", "body"),
    [
        ("mlflow", MODEL, {"name": "evil"}),
        ("prefect", "/work_pools/", POOL),
        ("prefect", "/health", None),
        ("page", "state.json", None),
    ],
)
def test_a_foreign_name_or_page_is_sent_away_also_with_the_password(
    place, server, path, body, headers
):
    status, text = ask(place.up.facts[server] + path, LET_IN | headers, body)
    assert status == 403, text


def test_an_allowed_name_is_let_in(place):
    named = {"Host": f"nocturne.example:{place.up.facts['mlflow'].rpartition(':')[2]}"}
    assert ask(place.up.facts["mlflow"] + EXPERIMENTS, LET_IN | named)[0] == 200
    assert ask(place.up.facts["prefect"] + "/admin/version", LET_IN | named)[0] == 200


@pytest.mark.parametrize(
    "source",
    [
        "s3://evil/model",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "mlflow-artifacts:/../../etc/passwd",
        "mlflow-artifacts:/0/%2e%2e/%2e%2e/etc",
        "mlflow-artifacts://evil.example/0/model",
        "models:/other/1",
        "runs:/0123/model",
    ],
)
def test_a_version_points_nowhere_but_to_our_artifacts(place, source):
    mlflow = place.up.facts["mlflow"] + "/api/2.0/mlflow"
    assert ask(f"{mlflow}/registered-models/create", body={"name": "attacked"})[0] in {200, 400}
    body = {"name": "attacked", "source": source}
    status, text = ask(f"{mlflow}/model-versions/create", body=body)
    assert (status, "source" in text) == (400, True), text
    found = ask(f"{mlflow}/model-versions/search?filter=name%3D%27attacked%27")
    assert "model_versions" not in json.loads(found[1])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/2.0/mlflow-artifacts/artifacts/..%2f..%2f..%2fetc%2fpasswd", None),
        ("/api/2.0/mlflow-artifacts/artifacts?path=../../etc", None),
        ("/get-artifact?path=../../etc/passwd&run_id=0", None),
        ("/api/2.0/mlflow/webhooks", {"name": "x", "url": "https://127.0.0.1/", "events": []}),
        ("/ajax-api/3.0/jobs/", {"job_name": "invoke_scorer", "params": {}}),
    ],
)
def test_no_path_no_hook_and_no_job_leads_out_of_mlflow(place, path, body):
    status, text = ask(place.up.facts["mlflow"] + path, body=body)
    assert 400 <= status < 600, text
    assert "root:" not in text


@pytest.mark.parametrize("first", [{"type": "auth", "token": "wrong"}, {"type": "auth"}, {}])
def test_no_event_is_taken_from_who_does_not_know_the_password(place, first):
    """An event could start a night: it is what an alarm of monitoring is."""
    url = place.up.facts["prefect"].replace("http", "ws") + "/events/in"
    with connect(url, subprotocols=["prefect"]) as events:
        events.send(json.dumps(first))
        told = []
        with suppress(ConnectionClosed):
            while len(told) < 9:
                told.append(json.loads(events.recv(30))["type"])
    assert "auth_success" not in told
    assert len(told) < 9, "it was not closed"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_no_foreign_page_opens_a_socket(place, headers):
    url = place.up.facts["prefect"].replace("http", "ws") + "/events/in"
    origin, host = headers.get("Origin"), headers.get("Host", "127.0.0.1")
    port = int(url.split(":")[2].partition("/")[0])
    url = f"ws://{host}:{port}/api/events/in"
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(InvalidStatus) as no:
        connect(url, sock=raw, origin=origin, subprotocols=["prefect"])
    assert no.value.response.status_code == 403


def test_no_attack_left_anything(place):
    pools = json.loads(ask(place.up.facts["prefect"] + "/work_pools/filter", body={})[1])
    assert "evil" not in [pool["name"] for pool in pools]
    models = ask(place.up.facts["mlflow"] + "/api/2.0/mlflow/registered-models/search")[1]
    assert '"evil"' not in models


def test_job_execution_and_telemetry_are_off_and_no_secret_is_on_a_command_line(place):
    said = {}
    for process in place.up.marked():
        assert "canary" not in " ".join(process.cmdline())
        assert "huey" not in " ".join(process.cmdline())
        said[process.environ()["NOCTURNE_UP_PART"]] = process.environ()
    assert said["mlflow"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    for part in ("mlflow", "prefect"):
        assert said[part]["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert said[part]["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    for log in (place.up.log, *place.up.home.path.glob(".nocturne/up/**/*.log")):
        assert "canary" not in log.read_text()


def test_everything_listens_on_loopback_alone(place):
    for process in place.up.marked():
        for found in process.net_connections():
            if found.status == psutil.CONN_LISTEN:
                assert found.laddr.ip in {"127.0.0.1", "::1"}, process


def test_one_beyond_loopback_without_credentials_does_not_start(place):
    bare = dict(place.up.home.variables)
    for name in ("NOCTURNE_UP_PASSWORD", "NOCTURNE_UP_ALLOWED_HOSTS"):
        bare.pop(name)
    other = type(place.up.home)(place.up.home.path, bare | {"NOCTURNE_HOME": "elsewhere"})
    refused = other.nocturne("up", "--host", "0.0.0.0", "--json")
    assert refused.code == 2
    named = ("NOCTURNE_UP_PASSWORD", "NOCTURNE_UP_ALLOWED_HOSTS", "NOCTURNE_SERVE_TOKEN")
    assert all(name in refused.json["error"] for name in named)


@dataclass(frozen=True)
class TeamToys(Toys):
    """Toys whose registry is on PostgreSQL and whose ledger is on S3."""

    store: S3Storage = None

    def promotions(self, mirror=None):
        mirror = mirror or self.mirror
        return Promotions(self.ledger, mirror, unfit=self.unfit, on_hand_change="revert")

    @property
    def ledger(self):
        return Ledger(self.store, self.name)


@dataclass
class Dying:
    """A mirror under which the database dies after the first write to it."""

    mirror: MlflowMirror
    kill: Callable[[], None]
    dead: bool = False

    def tag(self, *given):
        self.mirror.tag(*given)
        if not self.dead:
            self.dead = True
            self.kill()

    def __getattr__(self, name):
        return getattr(self.mirror, name)


@pytest.fixture
def toys(place, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "nocturne")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    return TeamToys(tmp_path, place.up.facts["mlflow"], place.store)


def test_promotions_go_on_over_a_killed_database_and_a_cut_store(place, toys):
    needs_postgresql()
    told = [toys.promote("a")]
    late, database = toys.judged("b"), place.up.pid("postgres")

    def kill():
        os.kill(place.up.process.pid, signal.SIGSTOP)  # or it would be back within a second
        os.kill(database, signal.SIGKILL)

    try:
        with pytest.raises(RegistryError):
            toys.promotions(Dying(toys.mirror, kill)).promote(late, asked("night b"))
        assert toys.promotions().state().pending is not None
    finally:
        os.kill(place.up.process.pid, signal.SIGCONT)
    until(lambda: _answers(toys))
    assert place.up.pid("postgres") != database
    toys.promotions().reconcile(asked())
    assert violations(toys.ledger, toys.mirror, toys.unfit, told) == []
    assert toys.production() == (["2"], "2")

    late = toys.judged("c")
    dying = Dying(toys.mirror, place.relay.end)
    try:
        with pytest.raises((StorageError, RegistryError)):
            toys.promotions(dying).promote(late, asked("night c"))
        assert dying.dead
    finally:
        place.relay.mend()
    assert toys.promotions().state().pending is not None
    toys.promotions().reconcile(asked())
    assert violations(toys.ledger, toys.mirror, toys.unfit, told) == []
    assert toys.production() == (["3"], "3")
    told.append(toys.promotions().promote(late, asked("night c")))
    assert told[-1].applied, "the rerun finds what was decided"
    assert toys.promotions().audit() == ()


def _answers(toys):
    try:
        return toys.registry.versions("toys")
    except RegistryError:
        return None


def test_it_ends_in_order_with_code_0_and_leaves_nothing(place):
    parts = [psutil.Process(part["pid"]) for part in place.up.parts()]
    everything = place.up.marked()
    began = time.monotonic()
    assert place.up.end(signal.SIGINT) == 0, place.up.log.read_text()[-3000:]
    assert time.monotonic() - began < 170
    assert not [process for process in (*parts, *everything) if processes.runs(process)]
    port = int(place.up.facts["page"].rstrip("/").rpartition(":")[2])
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    log = place.up.home.path / ".nocturne" / "up" / "logs" / "postgres.log"
    assert not log.exists() or log.read_text().rstrip().endswith("database system is shut down")
