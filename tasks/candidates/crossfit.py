"""Folds of a candidate: to measure it, or to be it.

Each fold's model learns from the other folds and answers for its own rows. The answers of all
folds together are those of rows no model had seen; the mean of the fold models has learnt from
every row (cross-validation aggregating, "crogging": Barrow and Crone 2016,
https://doi.org/10.1016/j.ijforecast.2015.12.011).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.architectures import saved
from tasks.architectures.merged import merged
from tasks.candidates.fitting import fit_one, write_history, write_json
from tasks.candidates.folds import Rows, folds
from tasks.candidates.job import FOLDS, Job
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.resampling.apply import resample
from tasks.training.checkpoints import save, write
from tasks.training.members import solve_again
from tasks.training.one_vs_rest import Setting

logger = logging.getLogger(__name__)

SOLVED = "solved.json"  # how a fold's members that no gradient moves were solved for
Counts = dict[str, list[int]]
Taught = Callable[[Examples, int], Examples]  # train rows of a fold, with what to learn of them


@dataclass(frozen=True)
class CrossFitted:
    """What the folds of a candidate found.

    Attributes:
        scores: Metrics on the held-out rows of each fold.
        answers: `(rows, classes)`, each row by the model that had not seen it, or the mean of those
            that had not, one a repeat.
        class_counts: Class to rows before and after resampling, all folds' train rows counted
            and divided by their number.
    """

    scores: tuple[dict[str, float], ...]
    answers: NDArray[np.float32]
    class_counts: dict[str, tuple[int, int]]


def cross_fit(
    job: Job,
    rows: Examples,
    groups: NDArray[np.str_] | None,
    *,
    keep: bool,
    taught: Taught | None = None,
) -> CrossFitted:
    """Fit every fold that an earlier process did not finish.

    Args:
        job: What to train.
        rows: Cut into folds.
        groups: `(rows,)`; rows of a group are held out together. None: each by itself.
        keep: Keep each fold's model, for `mean_of_folds`.
        taught: Says what else than labels to learn.

    Raises:
        ConfigError: folds that do not fit the rows.
    """
    found = np.zeros((len(rows), len(job.classes)), np.float32)
    scores: list[dict[str, float]] = []
    counts: list[Counts] = []
    for number, (kept, held) in _parts(job, rows, groups):
        folder = _folder(job, number)
        _fit_fold(job, number, rows, kept, held, keep=keep, taught=taught)
        said = np.load(folder / "answers.npy", allow_pickle=False)
        found[held] += said / job.fold_repeats
        scores.append(json.loads((folder / "metrics.json").read_text("utf-8")))
        counts.append(json.loads((folder / "class_counts.json").read_text("utf-8")))
    return CrossFitted(tuple(scores), found, _mean_counts(counts))


def fit_fold(
    job: Job,
    wanted: int,
    rows: Examples,
    groups: NDArray[np.str_] | None,
    *,
    keep: bool,
    taught: Taught | None = None,
) -> None:
    """Fit one of the folds, for `cross_fit` to find it done.

    Args:
        job: What to train.
        wanted: Number of the fold, from 1.
        rows: Cut into folds.
        groups: `(rows,)`; rows of a group are held out together. None: each by itself.
        keep: Keep the fold's model, for `mean_of_folds`.
        taught: Says what else than labels to learn.

    Raises:
        ConfigError: folds that do not fit the rows.
    """
    for number, (kept, held) in _parts(job, rows, groups):
        if number == wanted:
            _fit_fold(job, number, rows, kept, held, keep=keep, taught=taught)


def _parts(
    job: Job, rows: Examples, groups: NDArray[np.str_] | None
) -> Iterator[tuple[int, tuple[Rows, Rows]]]:
    labels = np.asarray(rows.labels)
    cut = folds(labels, groups, job.folds, seed=job.seed, repeats=job.fold_repeats)
    return enumerate(cut, 1)


def _fit_fold(
    job: Job,
    number: int,
    rows: Examples,
    kept: Rows,
    held_out: Rows,
    *,
    keep: bool,
    taught: Taught | None,
) -> None:
    """One fold, unless it is done; its metrics are written last."""
    folder = _folder(job, number)
    if (folder / "metrics.json").exists():
        return
    train, held = rows.take(kept), rows.take(held_out)
    if taught is not None:
        train = taught(train, number)
    fitted = fit_one(
        job,
        train,
        held,
        subject=f"{job.name}, fold {number} of {job.folds_in_all}",
        kept=f"fold-{number}",
        seed=job.seed + (number if keep else 0),
    )
    said = fitted.answers(held)
    write(folder / "answers.npy", partial(np.save, arr=said))
    before, after = fitted.resampled.before, fitted.resampled.after
    write_json(folder / "class_counts.json", {n: [before[n], after[n]] for n in job.classes})
    write_history(job, fitted.history.epochs, folder)
    if keep:
        save(fitted.model, folder / "model.keras")
        chosen = fitted.history.solved
        write_json(folder / SOLVED, {kind: each._asdict() for kind, each in chosen.items()})
    write_json(folder / "metrics.json", score(held.labels, said))
    keras.backend.clear_session()


def mean_of_folds(job: Job, rows: Examples) -> keras.Model:
    """One model that answers with the mean of the fold models.

    What no gradient moves in them is solved again for all rows that were cut into folds.
    """
    folders = [_folder(job, number) for number in range(1, job.folds_in_all + 1)]
    models = [saved.load(folder / "model.keras") for folder in folders]
    told = [json.loads((folder / SOLVED).read_text("utf-8")) for folder in folders]
    settings = [{kind: Setting(**each) for kind, each in one.items()} for one in told]
    if any(settings):
        logger.info("%s: solved again for all %d rows", job.name, len(rows))
        every = resample(rows, job.resampling, job.classes, job.spec, seed=job.seed)
        solve_again(models, every.examples, every.weights, settings, seed=job.seed)
    return merged(models, name="fold_ensemble")


def mean_history(job: Job) -> tuple[dict[str, Any], ...]:
    """Epoch by epoch, the mean over the folds that had that epoch."""
    told = [
        json.loads((_folder(job, number) / "history.json").read_text("utf-8"))
        for number in range(1, job.folds_in_all + 1)
    ]
    longest = max(told, key=len)
    return tuple(
        {name: float(np.mean([h[i][name] for h in told if i < len(h)])) for name in longest[i]}
        for i in range(len(longest))
    )


def _folder(job: Job, number: int) -> Path:
    return Path(job.out) / FOLDS / str(number)


def _mean_counts(counts: list[Counts]) -> dict[str, tuple[int, int]]:
    return {
        name: (
            round(np.mean([each[name][0] for each in counts])),
            round(np.mean([each[name][1] for each in counts])),
        )
        for name in counts[0]
    }
