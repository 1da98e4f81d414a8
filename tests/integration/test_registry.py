"""Versions on a real MLflow store, and servers that do not answer."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_registry.errors import BundleRefused, RegistryUnreachable, VersionUnfit
from model_registry.runs import Runs
from model_registry.store import Registry


def test_a_bundle_becomes_a_version_with_its_digest_and_tags(toys):
    version = toys.add("a", logical_date="2026-03-01")
    assert (version.version, version.stage) == ("1", "None")
    assert version.tags["logical_date"] == "2026-03-01"
    assert len(version.digest) == 64
    assert toys.registry.versions("toys") == [version]


def test_the_same_bundle_again_is_the_same_version(toys):
    assert toys.add("a").version == toys.add("a").version
    assert toys.add("b").version == "2"


def test_nothing_is_written_to_the_working_directory(toys, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(here)
    toys.promote("a")
    assert list(here.iterdir()) == []
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_an_unknown_model_has_no_versions(toys):
    assert toys.registry.versions("nobody") == []
    with pytest.raises(VersionUnfit, match="no version 3; there are: none"):
        toys.registry.version("nobody", "3")


def test_what_is_fetched_is_what_was_registered_in_a_private_directory(toys, tmp_path):
    version = toys.add("a")
    into = tmp_path / "fetched"
    manifest = toys.registry.fetch("toys", "1", into, public_key=toys.key.with_suffix(".pub"))
    assert manifest.digest == version.digest
    assert into.stat().st_mode & 0o777 == 0o700
    assert (into / "model.keras").read_bytes() == (
        toys.folder / "bundles" / "a" / "model.keras"
    ).read_bytes()


def _stored(toys, name):
    (found,) = (toys.folder / "mlflow_artifacts").rglob(f"artifacts/bundle/{name}")
    return found


def test_a_tampered_artifact_is_refused(toys, tmp_path):
    toys.add("a")
    path = _stored(toys, "labels.json")
    path.write_text(path.read_text().replace("yes", "yeS"))
    with pytest.raises(BundleRefused, match=r"digest mismatch in labels\.json"):
        toys.registry.fetch("toys", "1", tmp_path / "fetched")


def test_an_extra_artifact_is_not_downloaded(toys, tmp_path):
    toys.add("a")
    _stored(toys, "labels.json").with_name("custom_objects.cloudpickle").write_bytes(b"x")
    with pytest.raises(VersionUnfit, match=r"custom_objects\.cloudpickle.*no part of a bundle"):
        toys.registry.fetch("toys", "1", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_version_of_foreign_make_is_not_followed(toys):
    toys.add("a")
    toys.registry.client.create_model_version("toys", "file:///etc", tags={"digest": "0" * 64})
    assert "not one that Nocturne registers" in toys.unfit("2", "0" * 64)
    with pytest.raises(VersionUnfit, match="not one that Nocturne registers"):
        toys.registry.fetch("toys", "2", toys.folder / "fetched")


def test_a_source_that_only_looks_like_ours_is_not_followed(toys):
    source = toys.add("a").source
    client = toys.registry.client
    client.create_model_version("toys", f"/elsewhere{source}", tags={"digest": "0" * 64})
    client.create_model_version("toys", source, toys.add("b").run_id, tags={"digest": "0" * 64})
    for number in ("2", "4"):  # v3 is b itself
        with pytest.raises(VersionUnfit, match="not one that Nocturne registers"):
            toys.registry.check_present(toys.registry.version("toys", number))


def test_a_new_challenger_archives_the_old_one_but_not_who_waits(toys):
    for marker in "abc":
        toys.add(marker)
    assert toys.mirror.challenge("1").aliases == ("challenger",)
    toys.mirror.challenge("2")
    assert [v.stage for v in toys.registry.versions("toys")] == ["Archived", "Staging", "None"]
    toys.mirror.challenge("3", waiting=frozenset({"2"}))
    assert [v.stage for v in toys.registry.versions("toys")] == ["Archived", "Staging", "Staging"]
    toys.mirror.set_stage("3", "Archived")
    assert toys.registry.aliases("toys") == {}


def test_who_is_in_production_is_not_made_a_challenger_again(toys):
    toys.promote("a")
    assert toys.mirror.challenge("1").stage == "Production"
    assert toys.production() == (["1"], "1")


@pytest.fixture
def silent():
    """An address that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_told_within_fifteen_seconds(silent):
    def refusal(ask):
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable, match=silent):
            ask()
        return time.monotonic() - began

    asked = (lambda: Registry(silent).versions("x"), lambda: Runs(silent, "x").start("night"))
    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(refusal, asked)) < 100  # MLflow alone would wait four minutes


def test_a_server_that_is_down_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        Registry("http://127.0.0.1:9").versions("x")
    assert time.monotonic() - began < 5
