"""The stage: one job a candidate, and a night without any model says why."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.architectures import saved
from tasks.candidates.fitting import answers
from tasks.config import Pipeline, Preprocessing
from tasks.evaluation.calibration import scaled, temperature
from tasks.ragged import Examples, InputSpec
from tasks.references import Prepared
from tasks.sequences.preprocessor import fit_preprocessor
from tasks.train import NothingTrained, jobs_of, train
from tests.contracts.order_rows import CLASSES, splits_in
from tests.one_room import one_room

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def _one_room():
    with one_room():
        yield


@pytest.fixture
def prepared(tmp_path):
    """What `prepare` leaves, with toy rows."""
    home = splits_in(tmp_path / "toy" / "prepared" / "key", train=30, validation=10, test=5)
    words = pd.DataFrame(
        {"text": ["the cat sat on every warm mat", "the dog ran off with no hat"] * 4}
    )
    state = fit_preprocessor("text", Preprocessing(), words).to_json()
    (home / "preprocessor.json").write_text(json.dumps(state))
    return Prepared(
        directory=str(home),
        classes=CLASSES,
        train_rows=30,
        validation_rows=10,
        test_rows=5,
        near_duplicates=0,
        test_digest="",
    )


def pipeline(*candidates, **given):
    return Pipeline.model_validate(
        {
            "name": "toy",
            "source": {"reader": {"name": "csv", "options": {"path": "toy.csv"}}},
            "columns": {"label": "label", "text": "text"},
            "candidates": candidates,
            **given,
        }
    )


FLOOR = {"name": "floor", "architecture": "averaged_embeddings"}
QUICK = {"name": "quick", "architecture": "stacked_lstm", "training": {"epochs": 2}}


def test_every_candidate_has_a_job_with_its_own_settings_and_folder(prepared, monkeypatch):
    asked = pipeline(FLOOR, QUICK, folds=3, seed=9, evaluation={"metric": "mcc"})
    monkeypatch.setenv("NOCTURNE_WORKERS", "2")
    floor, quick = jobs_of(asked, prepared)
    assert (floor.training.epochs, quick.training.epochs) == (20, 2)
    assert {each.threads for each in (floor, quick)} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert {(each.seed, each.folds, each.metric) for each in (floor, quick)} == {(9, 3, "mcc")}
    assert Path(quick.out).parts[-3:] == ("toy", "candidates", "quick")
    assert isinstance(floor.spec, InputSpec)
    assert floor.spec.size > 4


def test_the_files_of_last_nights_candidates_are_gone(prepared):
    (job,) = jobs_of(pipeline(FLOOR), prepared)
    left = Path(job.out).parent / "older" / "model.keras"
    left.parent.mkdir(parents=True)
    left.touch()
    jobs_of(pipeline(FLOOR), prepared)
    assert not left.exists()


def test_a_night_in_which_nothing_trained_names_every_reason(prepared):
    bad = [
        {**FLOOR, "architecture": {"name": "averaged_embeddings", "options": {"embeding": 4}}},
        {**QUICK, "architecture": {"name": "stacked_lstm", "options": {"pooling": "meen"}}},
    ]
    with pytest.raises(NothingTrained) as raised:
        train.fn(pipeline(*bad), prepared)
    assert "floor: architecture 'averaged_embeddings': unknown option 'embeding'" in str(
        raised.value
    )
    assert "quick: pooling: unknown value 'meen'; did you mean 'mean'?" in str(raised.value)


@pytest.mark.parametrize(
    "folds",
    [{"folds": 2, "fold_ensemble": True}, pytest.param({}, marks=pytest.mark.slow)],
    ids=["folds", "one"],
)
def test_an_ensemble_answers_with_the_mean_of_its_members_and_is_kept_with_them(prepared, folds):
    calibrate = bool(folds)
    brief = {"epochs": 2, "min_updates": 0, "calibrate": calibrate}
    named = {"name": "ensemble", "architecture": "ensemble"}
    other = {"name": "other", "architecture": FLOOR["architecture"], "resampling": "class_weights"}
    asked = pipeline(named, FLOOR, other, training=brief, **folds)
    together, floor, quick = train.fn(asked, prepared)
    assert together.failed is None
    for split in ("test", "golden", *(("out_of_fold",) if folds else ())):
        mean = np.mean([said(each, split) for each in (floor, quick)], axis=0)
        found = said(together, split)
        held = "out_of_fold" if folds else "validation"
        labels = np.concatenate([labelled(prepared, s) for s in OF[held]])
        members = np.mean([said(each, held) for each in (floor, quick)], axis=0)
        warmth = temperature(labels, members) if calibrate else 1.0
        expected = scaled(mean, warmth)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    test = Examples.load(Path(prepared.directory) / "test")
    model = saved.load(Path(together.directory) / "model.keras")
    np.testing.assert_allclose(answers(model, test), said(together, "test"), atol=1e-5)
    assert len(together.folds) == (2 if folds else 0)
    assert train.fn(asked, prepared) == (together, floor, quick)
    jobs = jobs_of(asked.model_copy(update={"seed": 5}), prepared)
    found = list(zip(jobs[1:], (floor, quick), strict=True))
    assert jobs[0].after(found).key != jobs_of(asked, prepared)[0].after(found).key


OF = {"validation": ("validation",), "out_of_fold": ("train", "validation")}


def said(trained, split):
    return np.load(Path(trained.directory) / f"{split}_probabilities.npy", allow_pickle=False)


def labelled(prepared, split):
    return np.load(Path(prepared.directory) / split / "labels.npy", allow_pickle=False)


def test_an_ensemble_of_one_says_that_it_needs_two(prepared):
    brief = {"epochs": 1, "min_updates": 0}
    lonely = pipeline({"name": "ensemble", "architecture": "ensemble"}, FLOOR, training=brief)
    together, floor = train.fn(lonely, prepared)
    assert floor.failed is None
    assert together.failed == "ensemble: needs two other candidates, got 1"
