"""Retention over nights that never trained, on a real MLflow store and a real folder."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import cleaning, records
from infra.local import LocalStorage
from model_registry.errors import RegistryError, VersionUnfit
from model_registry.outcomes import PromotionRefused
from model_registry.runs import Runs
from tasks.config import ConfigError
from tasks.lease import StillRunning, holding
from tests.faults.invariants import violations
from tests.registry import Toys, asked, moved
from tests.retained import keys, later, past, pipeline

ROOT = Path(__file__).parents[2]
# v1 and v2 served long ago, v3 was kept, v4 is the previous champion, v5 serves, v6 waits
ENDS = ("promote", "promote", "keep", "refused", "promote", "promote", "propose", "refused")
POLICY = pipeline(nights=1, versions=1, live_days=1)
KILLED = """
from datetime import datetime
from flows import cleaning
from tests.retained import pipeline
cleaning.clean(pipeline(nights=1, versions=1, live_days=1), by="tests",
               now=datetime.fromisoformat({now!r}))
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory, empty_store):
    """A home with the nights of `ENDS` behind it, and what each left."""
    folder = tmp_path_factory.mktemp("lived")
    shutil.copy(empty_store, folder / "mlflow.db")
    toys = Toys(folder, f"sqlite:///{folder / 'mlflow.db'}")
    return toys, past(toys, *ENDS)


def entered(toys, monkeypatch):
    """The home of the settings until the test ends, and sound then."""
    monkeypatch.setenv("NOCTURNE_HOME", str(toys.folder))
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", toys.uri)
    yield toys
    assert violations(toys.ledger, toys.mirror, toys.unfit) == []
    assert toys.promotions().audit() == ()


@pytest.fixture
def young(toys, monkeypatch):
    """A home without a night."""
    yield from entered(toys, monkeypatch)


@pytest.fixture
def home(tmp_path, lived, monkeypatch):
    """A copy of the one that lived."""
    yield from entered(moved(lived[0], tmp_path / "home"), monkeypatch)


@pytest.fixture
def made(lived):
    """What each night of `home` left."""
    return lived[1]


def deleted(found):
    return {row["kind"]: row["deleted"] for row in found["kinds"]}


def files(version):
    place = Path(version.source.removeprefix("file://"))
    return sorted(place.rglob("*")) if place.exists() else []


def rest_is_as_needed(home, made):
    """After everything that may go went: what the needed versions rest on, and nothing else."""
    needed = [one for one in made if one.version in {"4", "5", "6"}]
    days = {one.day for one in needed} | {made[-1].day}
    digests = {digest for one in (*needed, made[-1]) for digest in one.digests}
    assert {Path(key).stem for key in keys(home, "snapshots/toys/") if ".parquet" in key} == digests
    assert {Path(key).stem for key in keys(home, "reports/")} == days
    assert {Path(key).stem for key in keys(home, "quarantine/")} == days
    assert {Path(key).stem for key in keys(home, "references/")} == {"4", "5", "6"}
    assert keys(home, "requests/") == []
    assert len(keys(home, "nights/")) == len(keys(home, "validations/")) == len(made)
    for version in home.registry.versions("toys"):
        gone = version.version in {"1", "2", "3"}
        assert bool(version.pruned) == gone
        assert (files(version) == []) == gone
    found = Runs(home.uri, "toys").finished(later(home).timestamp(), ("night",))
    left = {run.run_id for run in found}
    assert left == {one.run for one in needed} | {made[-1].run}


def test_what_goes_is_said_first_then_goes_and_a_second_time_there_is_nothing(home, made):
    before = keys(home)
    told = cleaning.clean(POLICY, dry_run=True, now=later(home))
    assert keys(home) == before
    assert home.promotions().state().pruned == {}

    found = cleaning.clean(POLICY, by="tests", now=later(home))
    assert found["kinds"] == told["kinds"]
    assert deleted(found)["versions"] == 3
    assert found["bytes"] > 0
    rest_is_as_needed(home, made)
    assert cleaning.clean(POLICY, by="tests", now=later(home))["deleted"] == 0
    assert [entry.kind for entry in home.ledger.follow()].count("pruned") == 1


def test_the_previous_champion_is_gone_back_to(home):
    cleaning.clean(POLICY, by="tests", now=later(home))
    home.registry.fetch("toys", "5", home.folder / "fetched")
    assert home.promotions().rollback(asked()).version == "4"
    assert home.production() == (["4"], "4")


def test_a_pruned_version_is_told_of_and_neither_gone_back_to_nor_promoted(home):
    cleaning.clean(POLICY, by="tests", now=later(home))
    promotions = home.promotions()
    with pytest.raises(RegistryError, match="rollback to v1: retention pruned it"):
        promotions.rollback(asked(), "1")
    version = home.registry.version("toys", "3")
    with pytest.raises(VersionUnfit, match=r"v3 were pruned: .* newest 1 nights"):
        home.registry.check_present(version)
    judged = home.judged("new")
    with pytest.raises(PromotionRefused, match="v3 was pruned in entry"):
        promotions.promote(
            type(judged)("3", version.digest, promotions.state().champion), asked(person=True)
        )
    assert "retention let its files go" in records.explanation_of(POLICY, "3").stands
    assert "pruned" in {one["kind"] for one in records.history_of(POLICY)}
    from flows.replaying import replay

    with pytest.raises(ConfigError, match="retention let the files of v3 go"):
        replay(POLICY, datetime(2026, 1, 3, tzinfo=UTC).date())


def test_a_night_trained_again_registers_a_pruned_bundle_as_a_new_version(home):
    cleaning.clean(POLICY, by="tests", now=later(home))
    again = home.add("night-2")
    assert again.version == "7"
    assert files(again) != []


def test_nothing_young_is_deleted(home):
    assert cleaning.clean(POLICY, by="tests")["deleted"] == 0
    assert home.promotions().state().pruned == {}


def test_a_generous_policy_keeps_all(home):
    policy = pipeline(nights=30, live_days=10_000)
    assert cleaning.clean(policy, by="tests", now=later(home))["deleted"] == 0


def test_a_running_night_is_left_alone_and_so_is_retention_that_runs(young):
    past(young, "promote", "promote", "promote")
    storage, before = LocalStorage(young.folder / "store"), keys(young, "snapshots/")
    day = datetime.now(UTC).date()
    with (
        holding("toys", day, storage),
        pytest.raises(StillRunning, match=r"night .* is still running"),
    ):
        cleaning.clean(POLICY, by="tests", now=later(young))
    assert keys(young, "snapshots/") == before
    with (
        holding("toys", day, storage, doing="retention"),
        pytest.raises(StillRunning, match="nocturne gc is still running"),
    ):
        cleaning.clean(POLICY, by="tests", now=later(young))


def test_killed_after_any_deletion_it_goes_on_the_next_time(home, made):
    code = KILLED.format(now=later(home).isoformat())
    environment = {**os.environ, "NOCTURNE_FAILPOINT": "between_deletions:kill"}
    left = deleted(cleaning.clean(POLICY, dry_run=True, now=later(home)))
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=False)
        assert done.returncode == -9
        now_left = deleted(cleaning.clean(POLICY, dry_run=True, now=later(home)))
        assert sum(left.values()) - sum(now_left.values()) == 1
        left = now_left
        assert home.promotions().audit() == ()
    cleaning.clean(POLICY, by="tests", now=later(home))
    rest_is_as_needed(home, made)


def test_killed_inside_the_deletion_of_a_version_it_is_finished(home, made):
    version = home.registry.version("toys", "1")
    found = cleaning._Look(POLICY, later(home)).unneeded
    home.promotions().prune(found, asked())
    home.registry.set_tags("toys", "1", {"pruned": "begun"})
    next(path for path in files(version) if path.name == "MLmodel").unlink()
    cleaning.clean(POLICY, by="tests", now=later(home))
    rest_is_as_needed(home, made)


def test_a_night_ends_with_it_where_the_policy_says_so_and_does_not_fail_by_it(home, monkeypatch):
    day = datetime.now(UTC).date()
    cleaning.after_night(POLICY, day, lambda: None)
    assert keys(home, "requests/") != []

    def lost():
        raise RuntimeError("the lease is gone")

    willing = pipeline(nights=1, versions=1, live_days=1, every_night=True)
    monkeypatch.setattr(cleaning, "datetime", Later)
    before = keys(home, "snapshots/")
    cleaning.after_night(willing, day, lost)
    assert keys(home, "snapshots/") == before
    cleaning.after_night(willing, day, lambda: None)
    assert keys(home, "requests/") == []


class Later(datetime):
    @classmethod
    def now(cls, tz=None):
        return later(None)


def test_the_verb_answers_as_the_others_do(young, tmp_path):
    from typer.testing import CliRunner

    from flows.cli import app

    past(young, "promote")
    conf = tmp_path / "toys.yaml"
    content = POLICY.model_dump(mode="json", include={"name", "source", "columns", "candidates"})
    conf.write_text(json.dumps(content))
    result = CliRunner().invoke(app, ["gc", str(conf), "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["deleted"] == 0
    assert {row["kind"]: row["kept"] for row in told["kinds"]}["versions"] == 1
    table = CliRunner().invoke(app, ["gc", str(conf), "--dry-run"])
    assert "would go" in table.stdout
    with holding("toys", datetime.now(UTC).date(), LocalStorage(young.folder / "store")):
        assert CliRunner().invoke(app, ["gc", str(conf)]).exit_code == 3
