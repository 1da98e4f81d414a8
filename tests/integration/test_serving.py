"""One server over real bundles: protocols, limits, promotions under load, refusals, logs."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from infra.local import LocalStorage
from infra.settings import Settings
from model_registry import signing
from model_registry.asking import Judged
from serving.limits import BODY_BYTES, DEADLINE_SECONDS
from serving.metrics import Metrics
from serving.places import Places
from serving.slot import Slot
from tasks import live_inputs, shadow_findings
from tests.crowd import FUZZ, Crowd, against_the_ledger, moves
from tests.live import NAME, NUMERIC, Asking, bodies, compile_here, live_in, same_graph
from tests.registry import asked

TOLERANCE = 1e-5
GROWTH = 1.05
LAG_MS = 500  # what a shared machine may add to a latency
TOKEN = "a-canary-nobody-may-see"


@pytest.fixture(scope="module")
def live(tmp_path_factory, empty_store):
    """Versions 1 and 2 are sound, 3 does not answer as it was trained, 4 is damaged."""
    folder = tmp_path_factory.mktemp("live")
    found = live_in(folder, empty_store, log_seconds=1.0, shadow_share=1.0, canary_share=0.5)
    for seed, marker in enumerate("ab"):
        found.add(marker, seed=seed)
    found.like("a", "skewed", golden_off=0.01)
    found.like("a", "damaged", golden_off=1e-7)
    source = found.toys.registry.version(NAME, "4").source
    model = Path(source) / "artifacts" / "bundle" / "model.keras"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    compile_here(found, "1", "2")
    same_graph(found, "1", "3")
    found.promote("1")
    return found


@pytest.fixture(scope="module")
def server(live, tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "log"
    with live.server("--json", log=log, NOCTURNE_SERVE_TOKEN=TOKEN) as found:
        wait_for(found, "1")
        yield found
        found.connection.close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in lines if "error" in line] == []
    assert lines[-1]["message"] == "ended"
    assert TOKEN not in log.read_text()


@pytest.fixture(scope="module")
def opened(live, tmp_path_factory):
    """Another server over the same home, without a token."""
    with live.server(log=tmp_path_factory.mktemp("open") / "log") as found:
        wait_for(found, moved_to(live))
        yield found
        found.connection.close()


@pytest.fixture
def open_server(live, opened):
    """The one without a token, once it answers with the champion, by a connection of its own."""
    asking = Asking(opened.port, opened.process, opened.log)
    wait_for(asking, moved_to(live))
    yield asking
    asking.connection.close()


@pytest.fixture
def ask(server):
    """The same server, by a connection of the test's own, token included."""
    asking = Asking(server.port, server.process, server.log)

    def call(path, content=None, **options):
        headers = {"authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        return asking(path, content, headers=headers, **options)

    yield call
    asking.connection.close()


def wait_for(server, version, patience_seconds=60):
    deadline = time.monotonic() + patience_seconds
    while (told := server.ready())["model_version"] != version:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def moved(live, server, version):
    if live.toys.promotions().state().champion.version != version:
        live.promote(version)
    return wait_for(server, version)


def test_golden_rows_over_http_are_training_s(live, server, ask):
    told = moved(live, server, "1")
    assert (told["ready"], told["stale"], told["refused"]) == (True, False, None)
    assert told["engine"] == "onnx"
    golden = live.golden("a")
    status, headers, content = ask("/invocations", {"inputs": {"body": golden["inputs"]}})
    assert (status, headers["x-model-version"], content["model_version"]) == (200, "1", "1")
    rows = content["predictions"]
    found = [[row["probability_no"], row["probability_yes"]] for row in rows]
    assert np.abs(np.array(found) - golden["probabilities"]).max() <= TOLERANCE
    assert [row["label"] for row in rows] == [("no", "yes")[np.argmax(row)] for row in found]


def test_a_row_s_answer_does_not_depend_on_its_company(ask):
    texts = bodies(40)
    together = ask("/invocations", {"instances": texts})[2]["predictions"]
    alone = [ask("/invocations", {"instances": [text]})[2]["predictions"][0] for text in texts]
    off = [
        abs(a["probability_no"] - b["probability_no"]) for a, b in zip(alone, together, strict=True)
    ]
    assert max(off) <= TOLERANCE


def test_mlflow_s_own_client_is_answered(server, open_server):
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", open_server.port)
    client.ping()
    assert client.get_version()
    frame = pd.DataFrame({"body": bodies(3)})
    answers = client.invoke(frame).get_predictions()
    assert list(answers) == ["label", "probability_no", "probability_yes"]
    assert len(answers) == 3
    assert open_server("/refresh", method="POST")[0] == 401
    ready = open_server.ready()
    assert [one["process"] for one in ready["other_processes"]] == [server.process.pid]
    assert ready["processes_disagree"] is False
    page = open_server("/")[2].decode()
    assert "toys" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_open_inference_protocol_gives_the_same_answers(ask):
    texts = bodies(3)
    expected = ask("/invocations", {"instances": texts})[2]["predictions"]
    tensor = {"name": "body", "shape": [3], "datatype": "BYTES", "data": texts}
    status, _, content = ask(f"/v2/models/{NAME}/infer", {"inputs": [tensor]})
    assert (status, content["model_version"]) == (200, "1")
    labels, probabilities = content["outputs"]
    assert labels["data"] == [row["label"] for row in expected]
    assert probabilities["shape"] == [3, 2]
    assert probabilities["data"][::2] == [row["probability_no"] for row in expected]
    told = ask(f"/v2/models/{NAME}")[2]
    assert told["versions"] == ["1"]
    assert told["parameters"]["classes"] == ["no", "yes"]
    tensor["shape"] = [2]
    status, _, content = ask(f"/v2/models/{NAME}/infer", {"inputs": [tensor]})
    assert (status, content["field"]) == (422, "body")


def test_the_document_names_every_route_and_its_example_is_answered(ask):
    document = ask("/openapi.json")[2]
    request = document["paths"]["/invocations"]["post"]["requestBody"]
    assert ask("/invocations", request["content"]["application/json"]["example"])[0] == 200
    for path, methods in document["paths"].items():
        if "get" in methods:
            assert ask(path)[0] == 200


@pytest.mark.parametrize(
    ("path", "options", "status", "field"),
    [
        ("/invocations", {"raw": "x" * (BODY_BYTES + 1)}, 413, "body"),
        (
            "/invocations",
            {"raw": "{}", "headers": {"content-type": "text/csv"}},
            415,
            "Content-Type",
        ),
        (
            "/invocations",
            {"raw": "{}", "headers": {"content-encoding": "gzip"}},
            415,
            "Content-Type",
        ),
        ("/invocations", {"content": {"instances": ["a", 1]}}, 422, "body"),
        (
            "/invocations",
            {"content": {}, "headers": {"host": "evil"}},
            400,
            "Host",
        ),
        ("/invocations", {"content": {}, "headers": {"origin": "https://evil"}}, 403, "Origin"),
        ("/invocations", {"content": {}, "headers": {"authorization": "no"}}, 401, "Authorization"),
        ("/metrics", {"headers": {"authorization": ""}}, 401, "Authorization"),
        ("/refresh", {"method": "POST", "headers": {"authorization": ""}}, 401, "Authorization"),
        ("/nowhere", {}, 404, None),
        ("/../../etc/passwd", {}, 404, None),
        ("/invocations", {"method": "GET"}, 404, None),
        ("/refresh", {"method": "GET"}, 405, None),
    ],
)
def test_what_is_not_allowed_is_refused_by_name_and_with_the_version(
    ask, path, options, status, field
):
    got, headers, content = ask(path, options.pop("content", None), **options)
    assert (got, headers["x-model-version"]) == (status, "1")
    assert (content.get("field"), content["model_version"]) == (field, "1")
    assert TOKEN not in json.dumps(content)


HEAD = f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
TYPE = "Content-Type: application/json\r\n"
CHUNKED = f"{HEAD}{TYPE}Transfer-Encoding: chunked\r\n\r\n"
DAWDLERS = {
    "a head that does not end": (HEAD, "408"),
    "a body that does not end": (f"{HEAD}{TYPE}Content-Length: 50\r\n\r\n{{", "408"),
    "a connection without a word": ("", "408"),
    "an endless head": (f"{HEAD}X: {'x' * 40_000}", "431"),
    "an endless body": (CHUNKED + f"10000\r\n{'x' * 0x10000}\r\n" * 5, "413"),
    "another protocol": ("\x16\x03\x01\x00\x25\x01\x00", "400"),
    "two lengths": (f"{HEAD}{TYPE}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{{}}", "400"),
}


def test_clients_that_dawdle_or_talk_nonsense_are_sent_away(server):
    said = [words for words, _ in DAWDLERS.values()]
    with ThreadPoolExecutor(len(said)) as several:
        heard = list(several.map(lambda words: what_is_said_to(server.port, words), said))
    assert dict(zip(DAWDLERS, heard, strict=True)) == {n: told for n, (_, told) in DAWDLERS.items()}


def what_is_said_to(port, words):
    """The status of the answer to these bytes, which must come within 10 s and close."""
    got, ends = b"", time.monotonic() + 10
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        with suppress(OSError):
            client.sendall(words.encode("latin-1"))
        with suppress(ConnectionResetError):
            while time.monotonic() < ends and (data := client.recv(65536)):
                got += data
    assert time.monotonic() < ends
    return got.split(b" ")[1].decode() if got else ""


def fuzzed(ask, count):
    seen = set()

    @settings(
        max_examples=count,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(FUZZ)
    def one(data):
        status, headers, content = ask("/invocations", raw=data)
        seen.add(status)
        assert status in (200, 400, 413, 422), (status, content)
        assert headers["x-model-version"] == "1"
        assert status == 200 or content["message"]

    one()
    assert {400, 422} <= seen


def test_no_input_is_answered_with_an_error_of_the_server(ask):
    fuzzed(ask, 300)


@pytest.mark.slow
def test_ten_thousand_inputs_are_answered_without_an_error_of_the_server(ask):
    fuzzed(ask, 10_000)


def promoted_under_load(live, server, promotions, requests, clients=8):
    """Every request is answered, by a version that the ledger named while it was asked for."""
    moved(live, server, "1")
    terms = [(0.0, time.monotonic(), "1")]
    with Crowd(server.port, clients, TOKEN) as crowd:
        for number in range(promotions):
            version = ("2", "1")[number % 2]
            while crowd.count < requests * (number + 1) / (promotions + 1):
                time.sleep(0.01)
            asked_at = time.monotonic()
            live.promote(version)
            wait_for(server, version)
            terms.append((asked_at, time.monotonic(), version))
        while crowd.count < requests:
            time.sleep(0.01)
    assert crowd.errors == []
    assert len(crowd.seen) == crowd.count >= requests
    moved_to = [e.body["version"] for e in live.toys.ledger.follow() if e.kind == "intent"]
    assert moved_to[-promotions:] == [version for _, _, version in terms[1:]]
    assert against_the_ledger(crowd.seen, terms) == []
    assert all(moves(crowd.seen, client) <= promotions for client in range(clients))
    assert sum(moves(crowd.seen, client) for client in range(clients)) >= promotions
    return crowd


def test_promotions_under_load_lose_no_request(live, server):
    promoted_under_load(live, server, 4, 3_000)


@pytest.mark.slow
def test_fifty_promotions_and_a_hundred_thousand_requests(live, server):
    process = psutil.Process(server.process.pid)
    promoted_under_load(live, server, 4, 4_000)
    before = process.memory_info().rss
    promoted_under_load(live, server, 50, 100_000, clients=16)
    assert process.memory_info().rss <= before * 1.05


@pytest.mark.parametrize(
    ("version", "says"), [("3", "golden rows: answers differ"), ("4", "digest mismatch")]
)
def test_a_version_that_fails_is_refused_and_recorded_and_the_old_one_serves_on(
    live, server, ask, version, says
):
    moved(live, server, "1")
    golden = {"inputs": {"body": live.golden("a")["inputs"]}}
    before = ask("/invocations", golden)[2]
    bypass_fitness(live, version)
    deadline = time.monotonic() + 90
    while not (told := server.ready())["refused"]:
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    assert (told["ready"], told["model_version"]) == (True, "1")
    assert told["refused"]["version"] == version
    assert says in told["refused"]["reason"]
    assert ask("/invocations", golden)[2] == before
    assert f'nocturne_refused_versions_total{{reason="refused",version="{version}"}}' in (
        ask("/metrics")[2].decode()
    )
    store = LocalStorage(live.home / "store")
    (key,) = [k for k in store.keys(f"serving/{NAME}/refused/") if f"/{version}-" in k]
    assert json.loads(store.get(key))["serving"] == "1"
    live.promote("2")
    assert wait_for(server, "2")["refused"] is None


class Slow(Slot):
    """Something happens to the ledger while a version is made ready."""

    meanwhile = staticmethod(lambda: None)

    async def _engine(self, champion):
        engine = await super()._engine(champion)
        self.meanwhile()
        return engine


def test_a_version_that_is_taken_back_while_it_is_made_ready_never_answers(live, server):
    moved(live, server, "1")
    settings = Settings(home=live.home, mlflow_url=live.toys.uri)
    key = signing.public_key_of(settings.signing_key)
    slot = Slow(NAME, LocalStorage(live.home / "store"), Places(live.serving), key, Metrics())
    asyncio.run(slot.look())
    assert slot.live.version == "1"
    first = slot.live
    live.promote("2")
    slot.meanwhile = lambda: live.promote("1")
    asyncio.run(slot.look())
    assert slot.live is first
    slot.meanwhile = None  # nothing is made ready any more
    asyncio.run(slot.look())
    assert (slot.live, slot.stale, slot.refused) == (first, None, None)
    assert slot.since == live.toys.promotions().state().champion.since


def bypass_fitness(live, version):
    """Promote what no night would: its bundle is not looked at."""
    promotions = live.toys.promotions()
    promotions.unfit = promotions._both.unfit = lambda version, digest: None
    digest = live.toys.registry.version(NAME, version).digest
    judged = Judged(version, digest, promotions.state().champion)
    promotions.promote(judged, asked(person=True))


def test_a_webhook_is_quicker_than_the_next_look(live, ask):
    assert ask("/refresh", method="POST")[0] == 202


def test_answered_rows_are_logged_and_the_challenger_shadows_them(live, server, ask):
    moved(live, server, "1")
    promotions = live.toys.promotions()
    digest = live.toys.registry.version(NAME, "2").digest
    promotions.keep(Judged("2", digest, promotions.state().champion), asked())
    deadline = time.monotonic() + 60
    while server.ready()["challenger"] != "2":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    texts = [f"{text} call 0171 2345" for text in bodies(30)]
    labels = [row["label"] for row in ask("/invocations", {"instances": texts})[2]["predictions"]]
    while counted(ask, "nocturne_shadow_rows_total") < 30:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    store, last = LocalStorage(live.home / "store"), []
    while len(last) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        rows = live_inputs.read(store, NAME, datetime.now(UTC).date()).to_pylist()
        last = [row for row in rows if row["text"].endswith("call <number>")]
    assert [row["label"] for row in last] == labels
    assert {row["version"] for row in last} == {"1"}
    assert all(row["unknown"] and row["length"] > 2 for row in last)


def counted(ask, name):
    lines = ask("/metrics")[2].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_asked_to_end_the_server_loses_no_request_and_leaves_what_the_shadow_found(live, tmp_path):
    """Clients keep their connections; the challenger of the test above is shadowed here too."""
    told = tmp_path / "bodies.json"
    told.write_text(json.dumps([json.dumps({"instances": [text]}) for text in bodies(20)]))
    with live.server(log=tmp_path / "log") as server:
        wait_for(server, "1")
        wait_until(lambda: server.ready()["challenger"] == "2")
        server("/invocations", {"instances": bodies(20)})
        time.sleep(0.5)  # the shadow's pause, so that they are answered before the load comes
        server.connection.close()
        command = [sys.executable, "-m", "benchmarks.load", str(server.port), "/invocations"]
        with (tmp_path / "found").open("w") as out:
            client = subprocess.Popen([*command, str(told), "32", "4"], stdout=out)
            time.sleep(2)
            server.process.terminate()
            began = time.monotonic()
            assert server.process.wait(30) == 0
        assert time.monotonic() - began < 10
        assert client.wait(30) == 0
    found = json.loads((tmp_path / "found").read_text())
    assert found["lost"] == 0
    assert set(found["statuses"]) == {"200"}
    assert found["requests"] > 64
    store, champion = LocalStorage(live.home / "store"), live.toys.promotions().state().champion
    found = shadow_findings.read(store, NAME, "2")
    assert found["rows"] >= 20
    assert 0 <= found["agreement"] <= 1
    assert set(found["score_shift"]) == {"no", "yes"}
    judged = shadow_findings.beside(store, NAME, "2", champion)
    assert (judged.rows, judged.failed, judged.error) == (found["rows"], 0, "")
    assert judged.times_as_long > 0


def test_series_are_answered_as_training_did(tmp_path, empty_store):
    found = live_in(tmp_path, empty_store, NUMERIC)
    found.add("waves", seed=1, columns=NUMERIC)
    compile_here(found, "1")
    found.promote("1")
    golden = found.golden("waves")
    with found.server(log=tmp_path / "log") as server:
        wait_for(server, "1")
        left, right = ([[step[n] for step in row] for row in golden["inputs"]] for n in (0, 1))
        content = server("/invocations", {"inputs": {"left": left, "right": right}})[2]
        answers = [
            [row["probability_no"], row["probability_yes"]] for row in content["predictions"]
        ]
        assert np.abs(np.array(answers) - golden["probabilities"]).max() <= TOLERANCE
        status, _, content = server("/invocations", {"inputs": {"left": [[1]], "right": [["a"]]}})
        assert (status, content["field"], content["row"]) == (422, "right", 0)
        server.connection.close()


def test_beyond_loopback_or_as_the_superuser_the_server_does_not_start(live):
    command = [sys.executable, "-m", "flows.cli", "serve", str(live.conf)]
    asked = {
        "NOCTURNE_SERVE_TOKEN": ([*command, "--host", "0.0.0.0"], "1"),
        "NOCTURNE_SERVE_AS_ROOT": (command, "0"),
    }
    if os.geteuid():  # nobody can become root to be refused
        del asked["NOCTURNE_SERVE_AS_ROOT"]
    processes = {
        setting: subprocess.Popen(
            words,
            env=live.environment(NOCTURNE_SERVE_AS_ROOT=as_root),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for setting, (words, as_root) in asked.items()
    }
    for setting, process in processes.items():
        _, said = process.communicate(timeout=120)
        assert (process.returncode, setting in said) == (2, True), said


def moved_to(live):
    return live.toys.promotions().state().champion.version


def told_at_once(server, found, lag_ms):
    """The excess heard 503 at once, what was accepted came in time, and soon all is well again."""
    began = time.monotonic()
    assert found["lost"] == 0
    assert set(found["statuses"]) == {"200", "503"}
    assert found["accepted"]["p99_ms"] <= 1_000 * DEADLINE_SECONDS + lag_ms
    assert found["refused"]["p50_ms"] <= lag_ms
    while True:
        asked_at = time.monotonic()
        status, headers, _ = server("/invocations", {"instances": bodies(1)})
        if status == 200 and time.monotonic() - asked_at < 0.5:
            break
        assert status == 200 or int(headers["retry-after"]) > 0
        assert time.monotonic() - began < 5


def test_overload_is_told_at_once_and_passes(open_server, tmp_path):
    """More connections than may wait; the client is as fast as this machine lets it be."""
    told = tmp_path / "bodies.json"
    told.write_text(json.dumps([json.dumps({"instances": bodies(20)})]))
    told_at_once(open_server, load(open_server, told, connections=600, seconds=4), lag_ms=2_000)


@pytest.mark.slow
def test_a_minute_of_three_times_what_it_can_do(open_server, tmp_path):
    """An open loop: requests fall due whatever becomes of the earlier ones; needs idle cores."""
    told, process = tmp_path / "bodies.json", psutil.Process(open_server.process.pid)
    told.write_text(json.dumps([json.dumps({"instances": bodies(64)})]))
    capacity = load(open_server, told, connections=64, seconds=5)["requests_per_second"]
    asked = {"connections": 800, "rate": 3 * capacity}
    told_at_once(open_server, load(open_server, told, seconds=4, **asked), LAG_MS)
    before = process.memory_info().rss
    found = load(open_server, told, seconds=60, **asked)
    print(f"capacity {capacity:.0f}/s, load {os.getloadavg()[0]:.1f}: {found}")
    told_at_once(open_server, found, LAG_MS)
    assert found["requests_per_second"] >= 0.9 * 3 * capacity  # the client kept its rate
    assert found["statuses"]["200"] >= 0.5 * 60 * capacity  # it did not collapse
    assert process.memory_info().rss <= before * GROWTH


def load(server, told, *, connections, seconds, rate=0.0):
    command = [sys.executable, "-m", "benchmarks.load", str(server.port), "/invocations"]
    command += [str(told), str(connections), str(seconds), str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_the_server_starts_from_its_last_copy_while_registry_and_store_are_away(
    live, server, tmp_path
):
    away = {
        "NOCTURNE_MLFLOW_URL": "http://127.0.0.1:9",
        "NOCTURNE_STORE": str(tmp_path / "file" / "store"),
    }
    (tmp_path / "file").write_text("no folder")
    last = json.loads((live.serving / "live.json").read_text())["version"]
    with live.server(log=tmp_path / "log", **away) as alone:
        told = wait_for(alone, last)
        assert (told["ready"], told["stale"]) == (True, True)
        assert "Production" in told["why"] or "ledger" in told["why"]
        assert alone("/invocations", {"instances": ["slow late"]})[0] == 200
        assert b"nocturne_stale 1.0" in alone("/metrics")[2]
        alone.connection.close()


def test_several_processes_share_the_port_and_one_that_dies_is_replaced(live, tmp_path):
    with live.server("--workers", "2", log=tmp_path / "log") as server:
        wait_for(server, moved_to(live))
        processes = serving_processes(server, 2)
        with Crowd(server.port, 4, "") as crowd:
            while crowd.count < 200:
                time.sleep(0.01)
        assert crowd.errors == []
        metrics = server("/metrics")[2].decode()
        line = next(one for one in metrics.splitlines() if 'route="/invocations"' in one)
        assert float(line.split()[-1]) >= 200
        os.kill(min(processes), signal.SIGKILL)
        assert serving_processes(server, 2, but=processes) != processes
        server.connection.close()


def beside(server):
    """Process ids of the servers that another one, whoever answers, knows of."""
    asking = Asking(server.port, None, None)
    told = asking.ready()["other_processes"]
    asking.connection.close()
    return frozenset(one["process"] for one in told)


def serving_processes(server, count, but=frozenset()):
    """Process ids of the workers, once all of them answer; others than before."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.3)
        workers = frozenset(one.pid for one in psutil.Process(server.process.pid).children())
        with suppress(OSError, http.client.HTTPException):
            seen = {beside(server) & workers for _ in range(10)}
            if len(workers) == count and workers != but and frozenset().union(*seen) == workers:
                return workers


def test_a_challenger_that_waits_answers_its_share_until_it_is_rejected(live, open_server):
    moved(live, open_server, "1")
    promotions = live.toys.promotions()
    digest = live.toys.registry.version(NAME, "2").digest
    promotions.propose(Judged("2", digest, promotions.state().champion), asked())
    wait_until(lambda: open_server.ready()["challenger"] == "2")
    wait_until(lambda: "2" in versions(open_server, 1))
    before = flights(open_server)
    assert set(versions(open_server, 60)) == {"1", "2"}
    assert flights(open_server) - before == 60
    told = open_server.ready()["canary"]
    assert (told["challenger"]["failures"], told["stopped"]) == (0, None)
    promotions.reject(asked(), "2")
    wait_until(lambda: open_server.ready()["challenger"] is None)
    assert set(versions(open_server, 20)) == {"1"}


def flights(server):
    """Of both sides of the canary's trial."""
    told = server.ready()["canary"]
    return told["challenger"]["flights"] + told["champion"]["flights"]


def versions(server, count):
    asking = [server("/invocations", {"instances": ["slow late"]}) for _ in range(count)]
    assert all(status == 200 for status, _, _ in asking)
    assert all(headers["x-model-version"] == told["model_version"] for _, headers, told in asking)
    return [told["model_version"] for _, _, told in asking]


def wait_until(holds, patience_seconds=60):
    deadline = time.monotonic() + patience_seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


SOAK_SECONDS = 600.0


@pytest.mark.slow
def test_a_soak_with_swaps_and_outages_leaves_no_request_unanswered_and_no_growth(live, tmp_path):
    """A promotion every 30 s, store and MLflow away for 10 s every 60 s; memory after a fifth."""
    store, registry = live.home / "store", live.home / "mlflow.db"
    settled = 0
    with live.server(log=tmp_path / "log") as server:
        wait_for(server, moved_to(live))
        process = psutil.Process(server.process.pid)
        began = time.monotonic()
        with Crowd(server.port, 4, "", pause_seconds=0.03) as crowd:
            for turn in range(int(SOAK_SECONDS / 30)):
                live.promote(("2", "1")[turn % 2])
                wait_for(server, moved_to(live))
                if turn % 2:
                    with away(store), away(registry):
                        time.sleep(10)
                        assert server.ready()["stale"]
                time.sleep(max(0, began + 30 * (turn + 1) - time.monotonic()))
                if not settled and time.monotonic() - began >= SOAK_SECONDS / 5:
                    settled = process.memory_info().rss
        assert crowd.errors == []
        assert crowd.count > SOAK_SECONDS * 20
        assert process.memory_info().rss <= settled * GROWTH
        assert not server.ready()["stale"]
        server.connection.close()


@contextmanager
def away(place):
    """A folder or file that is gone for a while, and cannot be made anew."""
    hidden = place.with_name(f"{place.name}.away")
    place.rename(hidden)
    place.write_text("neither a folder nor a database")
    try:
        yield
    finally:
        place.unlink()
        hidden.rename(place)
