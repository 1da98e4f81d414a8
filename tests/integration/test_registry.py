"""Versions and stages on a real MLflow store."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from model_registry.errors import (
    BundleRefused,
    PromotionLost,
    RegistryError,
    RegistryUnreachable,
)
from model_registry.runs import Runs
from model_registry.stages import NIGHT, one_writer, rollback
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
    toys.add("a")
    toys.move("1", "Production")
    assert list(here.iterdir()) == []
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_an_unknown_model_has_no_versions_and_no_champion(toys):
    assert toys.registry.versions("nobody") == []
    assert toys.registry.champion("nobody") is None
    with pytest.raises(RegistryError, match="no version 3; there are: none"):
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


def test_a_missing_artifact_keeps_production_as_it_is(toys):
    toys.add("a")
    toys.move("1", "Production")
    toys.add("b")
    stored = (toys.folder / "mlflow_artifacts").rglob("artifacts/bundle/model.keras")
    max(stored, key=lambda path: path.stat().st_mtime_ns).unlink()
    with pytest.raises(RegistryError, match=r"artifact model\.keras of 'toys' v2 missing"):
        toys.move("2", "Production", "1")
    assert toys.production() == (["1"], "1")


def test_an_extra_artifact_is_not_downloaded(toys, tmp_path):
    toys.add("a")
    _stored(toys, "labels.json").with_name("custom_objects.cloudpickle").write_bytes(b"x")
    with pytest.raises(RegistryError, match=r"custom_objects\.cloudpickle.*no part of a bundle"):
        toys.registry.fetch("toys", "1", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_version_of_foreign_make_is_not_followed(toys):
    toys.add("a")
    toys.registry.client.create_model_version("toys", "file:///etc", tags={"digest": "0" * 64})
    with pytest.raises(RegistryError, match="not one that Nocturne registers"):
        toys.move("2", "Production")
    with pytest.raises(RegistryError, match="not one that Nocturne registers"):
        toys.registry.fetch("toys", "2", toys.folder / "fetched")


def test_a_source_that_only_looks_like_ours_is_not_followed(toys):
    source = toys.add("a").source
    client = toys.registry.client
    client.create_model_version("toys", f"/elsewhere{source}", tags={"digest": "0" * 64})
    client.create_model_version("toys", source, toys.add("b").run_id, tags={"digest": "0" * 64})
    for number in ("2", "4"):  # v3 is b itself
        with pytest.raises(RegistryError, match="not one that Nocturne registers"):
            toys.registry.check_present(toys.registry.version("toys", number))


def test_stage_alias_and_tags_move_together(toys):
    toys.add("a")
    toys.add("b")
    toys.move("1", "Production")
    toys.move("2", "Staging")
    assert toys.registry.aliases("toys") == {"champion": "1", "challenger": "2"}
    moved = toys.move("2", "Production", "1", reason="macro_f1 +0.02", by="ana")
    one, two = toys.registry.versions("toys")
    assert (one.stage, two.stage) == ("Archived", "Production")
    assert two == moved == toys.registry.champion("toys")
    assert two.aliases == ("champion",)
    assert {k: two.tags[k] for k in ("reason", "by", "previous_champion")} == {
        "reason": "macro_f1 +0.02",
        "by": "ana",
        "previous_champion": "1",
    }


def test_a_promotion_against_another_champion_is_lost(toys):
    for marker in "abc":
        toys.add(marker)
    toys.move("1", "Production")
    toys.move("2", "Production", "1")
    with pytest.raises(PromotionLost, match="promotion lost to v2, expected v1 in Production"):
        toys.move("3", "Production", "1")
    with pytest.raises(PromotionLost, match="promotion lost to v2, expected no version"):
        toys.move("3", "Production")
    assert toys.production() == (["2"], "2")
    assert toys.registry.version("toys", "3").tags.get("reason") is None


def test_promoting_again_finishes_what_died_half_way(toys):
    for marker in "ab":
        toys.add(marker)
    toys.move("1", "Production")
    toys.registry.set_stage("toys", "2", "Production")  # and then the process died
    assert toys.production() == (["2"], "1")
    toys.move("2", "Production", "1")
    assert toys.production() == (["2"], "2")
    toys.move("2", "Production", "1")
    assert toys.production() == (["2"], "2")


def test_production_cannot_be_left_empty(toys):
    toys.add("a")
    toys.move("1", "Production")
    for stage in ("Staging", "Archived"):
        with pytest.raises(RegistryError, match="would leave it empty"):
            toys.move("1", stage)


def test_a_new_challenger_archives_the_old_one(toys):
    toys.add("a")
    toys.add("b")
    toys.move("1", "Staging")
    toys.move("2", "Staging")
    assert [v.stage for v in toys.registry.versions("toys")] == ["Archived", "Staging"]
    toys.move("2", "Archived")
    assert toys.registry.aliases("toys") == {}


def test_an_unknown_stage_is_refused(toys):
    with pytest.raises(RegistryError, match="unknown stage 'Canary'"):
        toys.move("1", "Canary")


def test_two_in_production_are_told_apart_by_the_alias_or_not_at_all(toys):
    toys.add("a")
    toys.add("b")
    toys.move("1", "Production")
    toys.registry.client._get_registry_client().transition_model_version_stage(
        "toys", "2", "Production", False
    )
    assert toys.registry.champion("toys").version == "1"
    toys.registry.set_alias("toys", "champion", None)
    with pytest.raises(RegistryError, match="v1, v2 are all in Production"):
        toys.registry.champion("toys")


def test_rollback_goes_to_the_last_good_version_and_marks_the_bad_one(toys):
    for number, marker in enumerate("abc", 1):
        toys.add(marker)
        toys.move(str(number), "Production", str(number - 1) if number > 1 else None)
    options = {"lock_path": toys.lock, "reason": "complaints", "by": "ana"}
    assert rollback(toys.registry, "toys", **options).version == "2"
    assert toys.production() == (["2"], "2")
    assert toys.registry.version("toys", "3").tags["rolled_back"] == "ana: complaints"
    assert rollback(toys.registry, "toys", **options).version == "1"
    with pytest.raises(RegistryError, match="no earlier good version"):
        rollback(toys.registry, "toys", **options)
    assert rollback(toys.registry, "toys", "3", **options).version == "3"
    assert toys.registry.version("toys", "3").tags["rolled_back"] == ""


def test_only_a_person_promotes_again_what_was_rolled_back(toys):
    for number, marker in enumerate("ab", 1):
        toys.add(marker)
        toys.move(str(number), "Production", str(number - 1) if number > 1 else None)
    rollback(toys.registry, "toys", lock_path=toys.lock, reason="bad", by="ana")
    with pytest.raises(RegistryError, match="only a person may promote it again"):
        toys.move("2", "Production", "1", by=NIGHT)
    assert toys.move("2", "Production", "1", by="ana").stage == "Production"


def test_eight_threads_racing_leave_one_winner(toys):
    for number in range(9):
        toys.add(f"m{number}")
    toys.move("1", "Production")

    def promote(number):
        try:
            return toys.move(str(number), "Production", "1").version
        except PromotionLost:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [one for one in pool.map(promote, range(2, 10)) if one]
    assert len(won) == 1
    assert toys.production() == (won, won[0])


RACER = """
import sys
from pathlib import Path
from model_registry.errors import PromotionLost
from tests.registry import Toys
toys = Toys(Path(sys.argv[1]), sys.argv[2])
toys.registry.champion("toys")
print("ready", flush=True)
sys.stdin.readline()
try:
    print(toys.move(sys.argv[3], "Production", "1").version)
except PromotionLost as lost:
    print("lost")
"""


def racer(toys, number):
    """A process that promotes one version when it is told to go."""
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(toys.folder), toys.uri, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_four_processes_racing_leave_one_winner(toys):
    for number in range(5):
        toys.add(f"m{number}")
    toys.move("1", "Production")
    with ExitStack() as processes:
        racers = [processes.enter_context(racer(toys, number)) for number in range(2, 6)]
        for one in racers:
            assert one.stdout.readline() == "ready\n"
        for one in racers:
            one.stdin.write("go\n")
            one.stdin.flush()
        said = [one.stdout.readline().strip() for one in racers]
    won = [one for one in said if one != "lost"]
    assert len(won) == 1, said
    assert toys.production() == (won, won[0])


def test_a_lock_that_stays_held_is_told(toys):
    with (
        one_writer(toys.lock),
        pytest.raises(RegistryError, match="registry busy"),
        one_writer(toys.lock, patience_seconds=0.1),
    ):
        pass


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

    asked = (lambda: Registry(silent).champion("x"), lambda: Runs(silent, "x").start("night"))
    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(refusal, asked)) < 100  # MLflow alone would wait four minutes


def test_a_server_that_is_down_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        Registry("http://127.0.0.1:9").champion("x")
    assert time.monotonic() - began < 5
