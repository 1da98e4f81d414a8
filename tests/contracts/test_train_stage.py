"""The stage: one job a candidate, and a night without any model says why."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import replaying
from tasks.architectures import saved
from tasks.candidates.distilling import Lessons
from tasks.candidates.fitting import answers
from tasks.candidates.folds import folds
from tasks.config import Pipeline, Preprocessing
from tasks.evaluation.calibration import scaled, temperature
from tasks.evaluation.metrics import score
from tasks.ragged import Examples, InputSpec, Ragged
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
    return ready_in(tmp_path)


def ready_in(folder):
    home = splits_in(folder / "toy" / "prepared" / "key", train=30, validation=10, test=5)
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


def test_jobs_of_series_are_told_how_long_a_row_is(prepared):
    assert jobs_of(pipeline(FLOOR), prepared)[0].spec.steps == 0  # of text nobody asks
    lengths = (3, 40, 41, 200)
    series = [np.zeros((length, 1), np.float32) for length in lengths]
    state = fit_preprocessor(
        "numeric", Preprocessing(), pd.DataFrame({"series": [each.tolist() for each in series]})
    )
    home = Path(prepared.directory)
    (home / "preprocessor.json").write_text(json.dumps(state.to_json()))
    Ragged.of(series).save(home / "train")
    (job,) = jobs_of(pipeline(FLOOR), prepared)
    assert job.spec == InputSpec("numeric", 2, steps=40)


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


BRIEF = {"epochs": 2, "min_updates": 0}
OTHER = {"name": "other", "architecture": FLOOR["architecture"], "resampling": "class_weights"}
ENSEMBLE = {"name": "ensemble", "architecture": "ensemble"}
STUDENT = {"architecture": "averaged_embeddings", "hardness": 0.25}
DISTILLED = {"name": "distilled", "architecture": {"name": "distilled", "options": STUDENT}}


@pytest.fixture(scope="module")
def combined(tmp_path_factory):
    """What was asked for, its rows, and two candidates with what is made of them."""
    ready = ready_in(tmp_path_factory.mktemp("combined"))
    folded = {"folds": 2, "fold_ensemble": True, "training": BRIEF}
    asked = pipeline(ENSEMBLE, DISTILLED, FLOOR, OTHER, **folded)
    return asked, ready, train.fn(asked, ready)


def test_an_ensemble_answers_with_the_mean_of_its_members_calibrated(combined):
    asked, ready, (together, _, *members) = combined
    means_of(together, members, ready, calibrate=True)
    assert len(together.folds) == 2
    assert train.fn(asked, ready) == combined[2]


def test_what_is_made_of_others_is_another_question_where_they_are_others(combined):
    asked, ready, (*_, floor, other) = combined
    for place in (0, 1):
        keys = set()
        for seed in (asked.seed, 5):
            jobs = jobs_of(asked.model_copy(update={"seed": seed}), ready)
            one = jobs_of(asked, ready)[place]
            keys.add(one.after(zip(jobs[2:], (floor, other), strict=True)).key)
        assert len(keys) == 2


@pytest.mark.slow
def test_an_ensemble_without_folds_is_chosen_on_the_validation_rows(prepared):
    uncalibrated = {**BRIEF, "calibrate": False}
    asked = pipeline(ENSEMBLE, FLOOR, OTHER, training=uncalibrated)
    together, *members = train.fn(asked, prepared)
    means_of(together, members, prepared, calibrate=False)
    assert together.folds == ()


def means_of(together, members, prepared, *, calibrate):
    """That a model and its answers are the mean of others'."""
    assert together.failed is None
    held = "out_of_fold" if together.folds else "validation"
    labels = np.concatenate([labelled(prepared, split) for split in OF[held]])
    mean = np.mean([said(each, held) for each in members], axis=0)
    warmth = temperature(labels, mean) if calibrate else 1.0
    for split in {"test", "golden", held}:
        mean = np.mean([said(each, split) for each in members], axis=0)
        np.testing.assert_allclose(said(together, split), scaled(mean, warmth), atol=1e-6)
    test = Examples.load(Path(prepared.directory) / "test")
    model = saved.load(Path(together.directory) / "model.keras")
    np.testing.assert_allclose(answers(model, test), said(together, "test"), atol=1e-5)


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


def test_a_distilled_candidate_is_one_model_measured_on_rows_it_was_not_taught(combined):
    _, ready, (_, distilled, *_) = combined
    assert distilled.failed is None
    labels = np.concatenate([labelled(ready, split) for split in OF["out_of_fold"]])
    held = said(distilled, "out_of_fold")
    assert distilled.out_of_fold == pytest.approx(score(labels, held))
    assert len(distilled.folds) == 2
    np.testing.assert_array_equal(said(distilled, "validation"), held[30:])
    assert sum(before for before, _ in distilled.class_counts.values()) == 30
    model = saved.load(Path(distilled.directory) / "model.keras")
    for split, kept in {"validation": "golden", "test": "test"}.items():
        found = answers(model, Examples.load(Path(ready.directory) / split))
        np.testing.assert_allclose(found, said(distilled, kept), atol=1e-6)


def test_a_folds_student_hears_only_teachers_that_had_not_seen_the_fold(combined):
    asked, ready, trained = combined
    jobs = jobs_of(asked, ready)
    found = zip(jobs[2:], trained[2:], strict=True)
    job = jobs[1].after(found)
    rows = Examples.joined([Examples.load(Path(ready.directory) / s) for s in OF["out_of_fold"]])
    lessons = Lessons(job, rows, None, Examples.load(Path(ready.directory) / "validation"))
    kept, _ = list(folds(rows.labels, None, 2, seed=asked.seed))[1]
    models = [saved.load(Path(t.directory) / "folds" / "2" / "model.keras") for t in trained[2:]]
    mean = np.mean([answers(model, rows.take(kept)) for model in models], axis=0)
    warmth = temperature(
        rows.labels, np.mean([said(t, "out_of_fold") for t in trained[2:]], axis=0)
    )
    labels = np.eye(len(CLASSES))[rows.labels[kept]]
    expected = 0.25 * labels + 0.75 * scaled(mean, warmth)
    np.testing.assert_allclose(lessons.of_fold(rows.take(kept), 2).targets, expected, atol=1e-5)


@pytest.mark.slow
def test_a_distilled_candidate_is_replayed_bit_by_bit(combined, tmp_path):
    """Its folds were trained side by side, those of the replay one after the other."""
    asked, _, (_, distilled, *_) = combined
    again = replaying._trained(asked, "distilled", ready_in(tmp_path))
    files = [Path(each.directory) / "model.keras" for each in (distilled, again)]
    assert replaying.same_weights(*files)
