"""One candidate from encoded rows to a trained model and its answers, in this process."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.candidates.crossfit import CrossFitted, cross_fit, mean_history, mean_of_folds
from tasks.candidates.fitting import (
    RESUME,
    answers,
    fit_one,
    write_history,
    write_json,
)
from tasks.candidates.job import Job
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.references import Trained
from tasks.training.checkpoints import save, write


def run(job: Job) -> Trained:
    """Cross-validate where asked, then train on the train rows and answer for the others.

    Validation rows choose the epoch; test rows are answered for once, by the finished model.
    Where the folds are the candidate, train and validation rows are cut into folds together,
    and each validation row is answered for by the fold model that had not seen it.
    Writes model.keras, history.json, the probability files and, last, trained.json. A job
    with a key keeps every epoch meanwhile, and goes on after the last one if it is killed.

    Raises:
        ConfigError: an option that does not fit its table, or folds that do not fit the rows.
        ResamplingError: rows that the strategy cannot balance.
        TrainingError: no rows, or a loss that left the finite.
    """
    began = time.perf_counter()
    _go_on_or_clear(job)
    made = _of_folds(job) if job.fold_ensemble else _of_train_rows(job)
    trained = made.model_copy(update={"seconds": time.perf_counter() - began})
    write_json(Path(job.out) / "trained.json", trained.model_dump(mode="json"))
    shutil.rmtree(Path(job.out) / RESUME, ignore_errors=True)
    return trained


def _of_train_rows(job: Job) -> Trained:
    """One model; folds, where there are some, only measure."""
    train, validation = _rows(job, "train"), _rows(job, "validation")
    groups = _groups(job, "train")
    crossed = cross_fit(job, train, groups, keep=False) if job.folds else None
    fitted = fit_one(job, train, validation, subject=job.name, kept="model", seed=job.seed)
    write_history(job, fitted.history.epochs, Path(job.out))
    resampled = fitted.resampled
    counts = {name: (resampled.before[name], resampled.after[name]) for name in job.classes}
    said = fitted.answers(validation)
    return _written(job, fitted.model, said, len(fitted.history.epochs), counts, crossed)


def _of_folds(job: Job) -> Trained:
    """The mean of the fold models; each validation row is answered for by one not taught it."""
    train, validation = _rows(job, "train"), _rows(job, "validation")
    of_train, of_validation = _groups(job, "train"), _groups(job, "validation")
    groups = None
    if of_train is not None and of_validation is not None:
        groups = np.concatenate([of_train, of_validation])
    crossed = cross_fit(job, Examples.joined([train, validation]), groups, keep=True)
    history = mean_history(job)
    write_json(Path(job.out) / "history.json", history)
    said = crossed.answers[len(train) :]
    return _written(job, mean_of_folds(job), said, len(history), crossed.class_counts, crossed)


def _written(
    job: Job,
    model: keras.Model,
    said: NDArray[np.float32],
    epochs: int,
    counts: dict[str, tuple[int, int]],
    crossed: CrossFitted | None,
) -> Trained:
    """The model and its answers on disk, and what to say of them."""
    validation, test, out = _rows(job, "validation"), _rows(job, "test"), Path(job.out)
    own = answers(model, validation) if job.fold_ensemble else said
    given = {"validation": said, "golden": own, "test": answers(model, test)}
    save(model, out / "model.keras")
    if crossed:
        given["out_of_fold"] = crossed.answers
    for split, found in given.items():
        write(out / f"{split}_probabilities.npy", partial(np.save, arr=found))
    return Trained(
        name=job.name,
        directory=str(out),
        validation=score(validation.labels, said),
        test=score(test.labels, given["test"]) if len(test) else {},
        folds=crossed.scores if crossed else (),
        class_counts=counts,
        parameters=model.count_params(),
        epochs=epochs,
        seconds=0.0,
    )


def _rows(job: Job, split: str) -> Examples:
    return Examples.load(Path(job.prepared) / split)


def _groups(job: Job, split: str) -> NDArray[np.str_] | None:
    path = Path(job.prepared) / split / "groups.npy"
    return np.load(path, allow_pickle=False) if path.exists() else None


def _go_on_or_clear(job: Job) -> None:
    """Leave only what an earlier process left of this very job."""
    out, key = Path(job.out), Path(job.out) / RESUME / "key"
    if job.key and key.exists() and key.read_text("utf-8") == job.key:
        return
    for left in (out / "folds", out / RESUME):
        shutil.rmtree(left, ignore_errors=True)
    for answered in out.glob("*_probabilities.npy"):
        answered.unlink()
    if job.key:
        write(key, lambda file: file.write(job.key.encode()))
