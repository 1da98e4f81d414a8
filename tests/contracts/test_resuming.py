"""A candidate that was killed goes on, and ends as one that was not."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tasks.architectures import ARCHITECTURES
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Training
from tasks.evaluation.metrics import score
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.training.epochs import epochs_kept
from tasks.training.fit import fit
from tasks.training.vectors import moving
from tests.contracts.order_rows import CLASSES, SPEC, order_rows, splits_in
from tests.contracts.test_candidate_processes import PARENT, weights
from tests.one_room import one_room

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS = Training(epochs=6, min_updates=0, batch_size=32, patience=4, learning_rate=0.01)


class Killed(BaseException):
    """The process is gone, as far as the test goes."""


def fitted(settings, *, resume=None, die_after=None, architecture="averaged_embeddings"):
    """A model with dropout and the history of its fit."""
    keras.utils.set_random_seed(3)
    model = ARCHITECTURES[architecture](SPEC, len(CLASSES), embedding=6, dropout=0.4)

    def on_epoch(epoch):
        if epoch["epoch"] == (die_after or 0) + 1 and die_after:
            raise Killed

    history = fit(
        model,
        order_rows(96),
        order_rows(40, seed=1),
        settings,
        weights=None,
        batches_of=bucketed,
        pad_to=bucket_length,
        classes=len(CLASSES),
        metric=lambda labels, answers: score(labels, answers)["macro_f1"],
        seed=5,
        on_epoch=on_epoch,
        resume=resume,
    )
    return model, history


def told(history):
    """What of a history does not depend on the clock."""
    clock = {"seconds", "rows_per_second"}
    return history.best, [
        {k: v for k, v in one.items() if k not in clock} for one in history.epochs
    ]


@pytest.mark.parametrize(
    ("changes", "dies_after"),
    [
        ({}, 2),
        ({"schedule": "plateau", "patience": 2, "learning_rate": 0.3}, 3),
        ({"optimizer": "adam", "schedule": "constant"}, 1),
    ],
)
def test_a_fit_that_died_ends_bit_equal_to_one_that_did_not(tmp_path, changes, dies_after):
    settings = SETTINGS.model_copy(update=changes)
    straight, expected = fitted(settings)
    kept = tmp_path / "resume" / "model.npz"
    with pytest.raises(Killed):
        fitted(settings, resume=kept, die_after=dies_after)
    assert epochs_kept(kept) == dies_after
    resumed, history = fitted(settings, resume=kept)
    assert told(history) == told(expected)
    for one, other in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_seeds_of_dropout_are_among_what_is_kept(tmp_path):
    model, _ = fitted(SETTINGS.model_copy(update={"epochs": 1}), resume=tmp_path / "model.npz")
    seeds = [variable for variable in model.variables if "seed_generator" in variable.path]
    assert seeds
    with np.load(tmp_path / "model.npz", allow_pickle=False) as kept:
        arrays = [kept[name] for name in kept.files]
    for seed in seeds:
        value = np.asarray(seed)
        assert any(value.shape == a.shape and (value == a).all() for a in arrays)


def test_vectors_that_stay_as_they_are_are_not_written_every_epoch():
    spec = dataclasses.replace(SPEC, vectors=8)
    model = ARCHITECTURES["bidirectional_lstm"](spec, len(CLASSES), units=3)
    still = next(layer for layer in model.layers if layer.name == "vectors").variables
    assert {v.path for v in model.variables} - {v.path for v in moving(model)} == {still[0].path}


def test_a_fit_whose_patience_was_at_an_end_trains_no_further(tmp_path):
    settings = SETTINGS.model_copy(update={"patience": 1, "epochs": 30, "learning_rate": 1e-7})
    kept = tmp_path / "model.npz"
    straight, expected = fitted(settings, resume=kept)
    assert len(expected.epochs) < 30
    again, history = fitted(settings, resume=kept)
    assert told(history) == told(expected)
    for one, other in zip(straight.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_file_that_is_cut_is_no_reason_to_fail(tmp_path, caplog):
    kept = tmp_path / "model.npz"
    fitted(SETTINGS.model_copy(update={"epochs": 1}), resume=kept)
    kept.write_bytes(kept.read_bytes()[:700])
    _, history = fitted(SETTINGS, resume=kept)
    assert len(history.epochs) == 6
    assert "trained from the start" in caplog.text


TINY = {
    "name": "averaged_embeddings",
    "options": {"embedding": 4, "dropout": 0.3},
}


def job(prepared, out, **given):
    common = {"resampling": "none", "seed": 4, "architecture": TINY, "classes": CLASSES}
    training = Training(epochs=8, min_updates=0, batch_size=16, patience=8)
    return Job(
        **{
            "name": out.name,
            "prepared": str(prepared),
            "out": str(out),
            "spec": SPEC,
            "training": training,
            "key": "the same question",
            **common,
            **given,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def _one_room():
    with one_room():
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return splits_in(tmp_path_factory.mktemp("prepared"))


def test_a_candidate_killed_in_its_second_fold_loses_neither_folds_nor_epochs(prepared, tmp_path):
    broken = job(prepared, tmp_path / "broken", folds=2)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, broken.model_dump_json()], stdout=subprocess.PIPE
    )
    try:
        heard = (line for line in parent.stdout if b"fold 2 of 2: 3 of 8" in line)
        assert next(heard, None)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.stdout.close()
        parent.wait()
    resume = Path(broken.out) / "resume"
    done = epochs_kept(resume / "fold-2.npz")
    assert 2 <= done < 8
    assert (Path(broken.out) / "folds" / "1" / "metrics.json").exists()
    resumed, straight = run_all([broken, job(prepared, tmp_path / "straight", folds=2)], workers=1)
    assert resumed.failed is None
    assert weights(resumed) == weights(straight)
    assert resumed.folds == straight.folds
    assert (resumed.validation, resumed.test) == (straight.validation, straight.test)
    assert not resume.exists()


def test_another_question_begins_anew(prepared, tmp_path):
    quick = Training(epochs=2, min_updates=0, batch_size=16)
    one = job(prepared, tmp_path / "one", training=quick)
    left = Path(one.out) / "resume"
    left.mkdir(parents=True)
    (left / "key").write_text("another question")
    (left / "model.npz").write_bytes(b"of another model")
    (trained,) = run_all([one], workers=1)
    assert trained.failed is None
    assert "trained from the start" not in (Path(one.out) / "log.txt").read_text()
