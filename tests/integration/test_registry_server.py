"""The same registry over HTTP, against a real MLflow server."""

import os
import shutil
import signal
import time

import pytest

from model_registry import bundle
from model_registry.errors import PromotionLost, RegistryUnreachable
from model_registry.runs import Runs
from model_registry.spool import SpooledRuns
from tests import servers
from tests.registry import Toys, asked


@pytest.fixture(scope="module")
def served(tmp_path_factory, empty_store):
    """Toys behind a server, and the server's process."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    port = servers.free_port()
    arguments = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with servers.running(arguments, f"{url}/health", log, environment=environment) as server:
        yield Toys(folder, url), server


def test_the_whole_way_works_over_http(served, tmp_path):
    toys, _ = served
    one, two = toys.add("a", logical_date="2026-03-01"), toys.add("b")
    assert toys.add("a").version == one.version == "1"
    toys.promote("a")
    toys.mirror.challenge("2")
    assert toys.registry.aliases("toys") == {"champion": "1", "challenger": "2"}
    late = toys.judged("c")
    toys.promote("b")
    assert toys.registry.version("toys", "2").tags["previous_champion"] == "1"
    assert toys.production() == (["2"], "2")
    with pytest.raises(PromotionLost, match="promotion lost to v2, expected v1"):
        toys.promotions().promote(late, asked())
    assert toys.promotions().audit() == ()
    key = toys.key.with_suffix(".pub")
    manifest = toys.registry.fetch("toys", "2", tmp_path / "fetched", public_key=key)
    assert manifest.digest == two.digest
    assert bundle.verify(tmp_path / "fetched", public_key=key) == manifest


def test_runs_artifacts_and_datasets_work_over_http(served, tmp_path):
    toys, _ = served
    runs = Runs(toys.uri, "tickets")
    night = runs.start("night", parameters={"seed": 1}, tags={"kind": "night"})
    child = runs.start("lstm", parent=night)
    runs.log_history(child, [{"loss": 1.0}, {"loss": 0.5}])
    runs.log_dataset(night, "t", digest="d" * 64, source="a/b", context="training", rows=3)
    (tmp_path / "report.html").write_text("<p>kept</p>")
    runs.log_artifacts(night, tmp_path / "report.html")
    runs.finish(child)
    assert runs.children(night) == [child]
    assert [file.path for file in runs.client.list_artifacts(night)] == ["report.html"]
    assert runs.client.get_run(child).data.metrics == {"loss": 0.5}


def away(toys):
    with pytest.raises(RegistryUnreachable, match=toys.uri):
        toys.registry.versions("toys")


def test_a_server_that_hangs_costs_a_call_a_quarter_of_a_minute_and_no_number(served, tmp_path):
    toys, server = served
    runs = SpooledRuns(Runs(toys.uri, "tickets"), tmp_path / "spool.jsonl")
    night = runs.start("night")
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        for ask in (
            lambda: runs.log_metrics(night, {"macro_f1": 0.7}),
            lambda: runs.finish(night),
            lambda: away(toys),
        ):
            began = time.monotonic()
            ask()
            assert time.monotonic() - began < 25, "15 s are promised, the rest is a busy machine's"
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    assert runs.waiting
    runs.replay()
    found = runs.runs.client.get_run(night)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"macro_f1": 0.7})


def test_a_server_that_died_is_told_by_its_address(served):
    toys, server = served
    servers.stop(server)
    with pytest.raises(RegistryUnreachable, match=toys.uri):
        toys.registry.versions("toys")
