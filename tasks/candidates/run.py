"""One candidate from encoded rows to a trained model and its answers, in this process."""

from __future__ import annotations

import logging
import shutil
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.candidates.attempt import attempt
from tasks.candidates.crossfit import CrossFitted, cross_fit, fit_fold, mean_history, mean_of_folds
from tasks.candidates.distilling import Lessons
from tasks.candidates.ensemble import Ensemble
from tasks.candidates.fitting import answers, fit_one, write_history, write_json
from tasks.candidates.job import RESUME, Job
from tasks.candidates.leftovers import go_on_or_clear
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.references import Trained
from tasks.training.checkpoints import save, write

logger = logging.getLogger(__name__)


def run(job: Job) -> Trained:
    """Cross-validate where asked, then train on the train rows and answer for the others.

    Validation rows choose the epoch; test rows are answered for once, by the finished model.
    Where the folds are the candidate, train and validation rows are cut into folds together,
    and each validation row is answered for by the fold model that had not seen it.
    Writes model.keras, history.json, the probability files and, last, trained.json. A job
    with a key keeps every epoch meanwhile, and goes on after the last one if it is killed.
    A job of one fold leaves that in the folder of its candidate.

    Raises:
        ConfigError: an option that does not fit its table, or folds that do not fit the rows.
        ResamplingError: rows that the strategy cannot balance.
        TrainingError: no rows, or a loss that left the finite.
    """
    began = time.perf_counter()
    if not job.fold:  # whoever asks for folds by themselves has seen to that
        go_on_or_clear(job)
    trained = _trained(job).model_copy(update={"seconds": time.perf_counter() - began})
    write_json(Path(job.out) / "trained.json", trained.model_dump(mode="json"))
    shutil.rmtree(Path(job.out) / RESUME, ignore_errors=True)
    return trained


def _trained(job: Job) -> Trained:
    if job.trial:
        return attempt(job)
    if job.fold:
        return _one_fold(job)
    if job.distils:
        return _distilled(job)
    if job.combines:
        return _of_others(job)
    return _of_folds(job) if job.fold_ensemble else _of_train_rows(job)


def _of_others(job: Job) -> Trained:
    """The mean of candidates that were trained before."""
    held, groups = _held_out(job)
    made = Ensemble(job, held, groups, _rows(job, "validation"))
    first = Trained.model_validate_json((Path(made.members[0]) / "trained.json").read_text("utf-8"))
    names = [Path(each).name for each in made.members]
    logger.info("%s: the mean of %s", job.name, " and ".join(names))
    write_json(Path(job.out) / "history.json", [])
    return _written(job, made.model(), made.answers, 0, first.class_counts, made.folds)


def _of_train_rows(job: Job) -> Trained:
    """One model; folds, where there are some, only measure."""
    train = _rows(job, "train")
    crossed = cross_fit(job, train, _groups(job, "train"), keep=False) if job.folds else None
    return _one_model(job, job, train, crossed)


def _distilled(job: Job) -> Trained:
    """One model of the train rows that learns from others; folds only measure."""
    rows, groups = _held_out(job)
    validation = _rows(job, "validation")
    lessons = Lessons(job, rows, groups, validation)
    crossed = cross_fit(lessons.job, rows, groups, keep=False, taught=lessons.of_fold)
    train = lessons.rows.take(np.arange(len(rows) - len(validation)))
    return _one_model(job, lessons.job, train, crossed)


def _one_model(job: Job, learns: Job, train: Examples, crossed: CrossFitted | None) -> Trained:
    """One fit, measured by folds where there are some; validation rows may be in these, too."""
    validation = _rows(job, "validation")
    fitted = fit_one(learns, train, validation, subject=job.name, kept="model", seed=job.seed)
    write_history(job, fitted.history.epochs, Path(job.out))
    resampled = fitted.resampled
    counts = {name: (resampled.before[name], resampled.after[name]) for name in job.classes}
    said = fitted.answers(validation)
    given = {"validation": said, "golden": said}
    if crossed:
        given["out_of_fold"] = crossed.answers
        if job.fold_ensemble:
            given["validation"] = crossed.answers[len(train) :]
    folds = crossed.scores if crossed else ()
    return _written(job, fitted.model, given, len(fitted.history.epochs), counts, folds)


def _of_folds(job: Job) -> Trained:
    """The mean of the fold models; each validation row is answered for by one not taught it."""
    rows, groups = _held_out(job)
    validation = _rows(job, "validation")
    crossed = cross_fit(job, rows, groups, keep=True)
    history = mean_history(job)
    write_json(Path(job.out) / "history.json", history)
    model = mean_of_folds(job, rows)
    given = {
        "validation": crossed.answers[len(rows) - len(validation) :],
        "golden": answers(model, validation),
        "out_of_fold": crossed.answers,
    }
    return _written(job, model, given, len(history), crossed.class_counts, crossed.scores)


def _one_fold(job: Job) -> Trained:
    """A fold of a candidate, left where that will look for it."""
    whole = job.whole()
    rows, groups = _held_out(whole)
    if whole.distils:
        lessons = Lessons(whole, rows, groups, _rows(whole, "validation"))
        fit_fold(lessons.job, job.fold, rows, groups, keep=False, taught=lessons.of_fold)
    else:
        fit_fold(whole, job.fold, rows, groups, keep=whole.fold_ensemble)
    return Trained(name=job.name, directory=job.out)


def _held_out(job: Job) -> tuple[Examples, NDArray[np.str_] | None]:
    """The rows that folds cut, and their groups: with an ensemble of folds validation's too."""
    splits = ("train", "validation") if job.fold_ensemble else ("train",)
    groups = [found for split in splits if (found := _groups(job, split)) is not None]
    rows = Examples.joined([_rows(job, split) for split in splits])
    return rows, np.concatenate(groups) if len(groups) == len(splits) else None


def _written(
    job: Job,
    model: keras.Model,
    given: dict[str, NDArray[np.float32]],
    epochs: int,
    counts: dict[str, tuple[int, int]],
    folds: tuple[dict[str, float], ...],
) -> Trained:
    """The model and its answers on disk, and what to say of them; test rows are answered last."""
    validation, test, out = _rows(job, "validation"), _rows(job, "test"), Path(job.out)
    save(model, out / "model.keras")
    if "test" not in given:
        given["test"] = answers(model, test)
    for split, found in given.items():
        write(out / f"{split}_probabilities.npy", partial(np.save, arr=found))
    apart = given.get("out_of_fold")
    return Trained(
        name=job.name,
        directory=str(out),
        validation=score(validation.labels, given["validation"]),
        out_of_fold={} if apart is None else score(_held_out(job)[0].labels, apart),
        test=score(test.labels, given["test"]) if len(test) else {},
        folds=folds,
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
