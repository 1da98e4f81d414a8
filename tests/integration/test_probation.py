"""Real versions on probation: labels that came since the promotion judge both, and one is demoted.

The tests of this file are one story, in its order: a night of noise, a night on which the
champion turns out worse, its process killed, its rerun, and a night that would promote it again.
"""

import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from flows import probation, promotion, records, status
from infra.settings import Settings
from infra.storage import open_storage
from model_registry.asking import Facts, Judged
from model_registry.mirror import MlflowMirror
from model_registry.outcomes import PromotionRefused
from model_registry.store import Registry
from tasks.config import Pipeline
from tasks.datasets import snapshots
from tasks.probation import probe
from tasks.promotions import open_promotions
from tasks.references import Snapshot, Validated
from tests.champions import CLASSES, PIPELINE, WORDS, pipeline_of, promoted
from tests.command_line import night_home_in
from tests.faults.promoting import Died
from tests.registry import asked
from tests.servers import receiver

LEARNT_FROM, NOISE, WORSE = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)
WATCHED = {"nights": 4, "min_rows": 100}


@pytest.fixture(scope="module")
def story(tmp_path_factory, empty_store):
    """Two versions of other weights, promoted one after the other, and the rows of three nights."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_store, home / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTURNE_HOME", str(home))
        patch.delenv("NOCTURNE_MLFLOW_URL", raising=False)
        patch.delenv("NOCTURNE_PREFECT_URL", raising=False)
        settings = Settings()
        pipeline = pipeline_of(
            evaluation={"metric": "accuracy", "bootstrap_samples": 300},
            policy={"probation": WATCHED},
        )
        old = taken(texts(150, 0), ["billing"] * 150)
        facts = Facts(LEARNT_FROM.isoformat(), {"data": old.digest})
        versions = [promoted(pipeline, settings, seed=seed, facts=facts) for seed in (1, 2)]
        yield SimpleNamespace(pipeline=pipeline, home=home, versions=versions, old=old, found={})


def texts(count, seed):
    rng = np.random.default_rng(seed)
    return [f"{' '.join(rng.choice(WORDS, 5))} s{seed} n{at}" for at in range(count)]


def frame_of(said, labels):
    ids = [f"row {text}" for text in said]
    columns = {"row_id": ids, "label": labels, "text": said}
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})


def taken(said, labels):
    """A night's clean rows in the store."""
    digest, key = snapshots.write(frame_of(said, labels), "batches", open_storage(Settings()))
    return Snapshot(key=key, digest=digest, rows=len(said), new_rows=len(said), duplicates=0)


def answers(seed, said):
    """What the version of this seed says, asked in this process."""
    from tasks.inference.classifier import SequenceClassifier

    classifier = SequenceClassifier.load(Settings().work / f"made-{seed}")
    given = classifier.predict_proba(pd.DataFrame({"text": pd.Series(said, dtype="str")}))
    return [CLASSES[at] for at in given.argmax(axis=1)]


def equally_right(said):
    """Labels that are the champion's and the predecessor's answers in turn."""
    both = zip(answers(2, said), answers(1, said), strict=True)
    return [pair[at % 2] for at, pair in enumerate(both)]


def look(story, day, rows, **changes):
    pipeline = story.pipeline.model_copy(update=changes)
    return probation.undergo(pipeline, day, rows, probing=probe.fn)


def production(story):
    registry = Registry(Settings().mlflow_uri)
    serving = [one.version for one in registry.versions("batches") if one.stage == "Production"]
    return serving, registry.aliases("batches").get("champion")


def test_rows_that_either_learnt_from_or_too_few_of_them_judge_nobody(story):
    found = look(story, NOISE, story.old)
    assert (found.judged, found.rows) == (False, 0)
    assert "policy.probation.min_rows = 100" in found.reason
    again = texts(150, 0)
    copies = snapshots.write(
        frame_of(again, ["login"] * 150).assign(row_id=lambda f: "new " + f["row_id"]),
        "batches",
        open_storage(Settings()),
    )
    renamed = Snapshot(key=copies[1], digest=copies[0], rows=150, new_rows=150, duplicates=0)
    assert look(story, NOISE, renamed).rows == 0


def test_noise_does_not_demote(story):
    said = texts(300, 1)
    assert len(set(zip(answers(1, said), answers(2, said), strict=True))) > 1
    story.noise = taken(said, equally_right(said))
    found = look(story, NOISE, story.noise)
    assert (found.judged, found.worse, found.demoted) == (True, False, False)
    assert (found.version, found.predecessor, found.rows, found.look) == ("2", "1", 300, 1)
    assert "v2 is not shown to be worse than its predecessor v1: accuracy" in found.reason
    assert look(story, NOISE, story.old) == found  # the same night looks once
    told = status.status_of(story.pipeline)["probation"]
    assert told == f"v2, 1 of 4 nights: {found.reason}"
    assert production(story) == (["2"], "2")


def test_a_champion_worse_on_new_labels_is_demoted_also_by_a_process_that_dies_of_it(
    story, monkeypatch
):
    said, more = texts(300, 1), texts(300, 2)
    labels = [*equally_right(said), *answers(1, more)]
    story.worse = taken(said + more, labels)

    def dies(*arguments):
        raise Died

    with monkeypatch.context() as patch:  # after the intent, before MLflow hears of it
        patch.setattr(MlflowMirror, "set_stage", dies)
        with pytest.raises(Died):
            look(story, WORSE, story.worse)
    assert open_promotions(story.pipeline).state().champion.version == "1"
    assert production(story) == (["2"], "2")
    assert "MLflow does not show it yet" in status.status_of(story.pipeline)["unfinished"]
    open_promotions(story.pipeline).reconcile(asked())  # as any night does first
    assert production(story) == (["1"], "1")
    written = len(list(open_promotions(story.pipeline).ledger.follow()))
    found = look(story, WORSE, story.worse)
    assert (found.worse, found.demoted, found.look, found.rows) == (True, True, 2, 600)
    assert found.difference.high < 0
    assert len(list(open_promotions(story.pipeline).ledger.follow())) == written
    assert look(story, date(2026, 3, 4), story.worse) is None  # who was gone back to is not judged


# apprise reads its mail plugin, which asks for a module that Python 3.13 drops
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_demotion_by_hand_reaches_the_team(story, monkeypatch):
    said = Validated(accepted=True, reason="", clean=story.worse)
    monkeypatch.setattr("flows.validating.check", lambda *_: said)
    with receiver() as (port, heard):
        monkeypatch.setenv("NOCTURNE_NOTIFY", f"json://127.0.0.1:{port}/")
        found = probation.look_now(story.pipeline, WORSE)
    (message,) = heard
    assert message["title"] == "batches, probation 2026-03-03: v2 demoted, v1 serves again"
    assert message["message"] == found.reason


def test_the_demotion_is_told_with_its_numbers(story):
    made = records.history_of(story.pipeline)[-1]
    assert (made["kind"], made["before"], made["after"]) == ("demoted by probation", "2", "1")
    assert made["by"] == "probation, night 2026-03-03"
    assert "v2 is worse than its predecessor v1: accuracy" in made["why"]
    explained = records.explanation_of(story.pipeline, "2")
    assert explained.stands.startswith("demoted by probation (entry ")
    assert "only a person may promote it again" in explained.stands
    assert any("demoted by probation, v2 → v1" in line for line in explained.sentences())
    told = status.status_of(story.pipeline)
    assert (told["champion"]["version"], told["probation"]) == ("1", None)
    assert told["champion"]["reason"].startswith("demoted by probation: v2 is worse")
    *_, intent, _ = open_promotions(story.pipeline).ledger.follow()
    assert intent.body["probation"]["numbers"]["difference"] < 0
    assert open_promotions(story.pipeline).audit() == ()


def test_no_night_promotes_the_demoted_version_again(story):
    promotions = open_promotions(story.pipeline)
    second = story.versions[1]
    judged = Judged(second.version, second.digest, promotions.state().champion)
    with pytest.raises(PromotionRefused, match="only a person may promote it again"):
        promotions.promote(judged, asked("night 2026-03-05"))
    assert production(story) == (["1"], "1")


def test_switched_off_nobody_is_watched(story):
    off = story.pipeline.policy.model_copy(
        update={"probation": story.pipeline.policy.probation.model_copy(update={"nights": 0})}
    )
    assert look(story, WORSE, story.worse, policy=off) is None


@pytest.mark.slow
def test_a_whole_night_demotes_first_and_then_judges_against_who_serves_again(
    tmp_path, empty_store, monkeypatch
):
    home = night_home_in(tmp_path)
    (tmp_path / ".nocturne").mkdir()
    shutil.copy(empty_store, tmp_path / ".nocturne" / "mlflow.db")
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    rows = tmp_path / "rows.csv"
    content = {
        **PIPELINE,
        "source": {"reader": {"name": "csv", "options": {"path": str(rows)}}},
        "training": {"epochs": 2, "min_updates": 0},
        "evaluation": {"metric": "accuracy", "bootstrap_samples": 200},
    }
    pipeline, before, since = Pipeline.model_validate(content), texts(300, 7), texts(600, 8)
    named = list(np.resize(CLASSES, 300))
    old = taken(before, named)
    for seed in (1, 2):
        promoted(pipeline, Settings(), seed=seed, facts=Facts("2026-03-01", {"data": old.digest}))
    labels = [one if at % 5 else CLASSES[at % 3] for at, one in enumerate(answers(1, since))]
    frame = frame_of(before + since, named + labels).set_axis(["ticket", "topic", "body"], axis=1)
    frame.to_csv(rows, index=False)
    conf = home.write(content)
    night = home.nocturne("retrain", conf, "--date", "2026-03-03", "--json")
    record = night.json
    assert record["verdict"], night.err
    assert record["probation"]["demoted"], record["probation"]
    assert record["champion_before"] == "1"
    assert "probation" in Path(record["report"]).read_text()
    told = [one["kind"] for one in records.history_of(pipeline)]
    assert told[:3] == ["promoted", "promoted", "demoted by probation"]
    assert len(told) == 4
    assert open_promotions(pipeline).state().barred.keys() == {"2"}
    assert promotion.verify(pipeline) == []
    again = home.nocturne("probation", conf, "--date", "2026-03-03", "--json")
    assert (again.code, again.json["demoted"]) == (3, True)  # the decision that stands
    assert len(records.history_of(pipeline)) == 4
