"""One trial of a search: settings measured on train rows alone, nothing kept but the scores.

Validation rows, which choose between candidates, are not read, nor are test rows: a winner among
many trials is only lucky on the rows that chose it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tasks import progress
from tasks.candidates.fitting import fit_one
from tasks.candidates.folds import folds
from tasks.candidates.job import Job
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.references import Trained

logger = logging.getLogger(__name__)

HELD_OUT = 5  # a pipeline without folds holds out a fifth of its train rows
ALIVE = 0  # a step that says nothing of how good a trial is


def attempt(job: Job) -> Trained:
    """Fit on some train rows and score the others, fold by fold where the pipeline has folds.

    Says what it has reached after each fold or, without folds, after each epoch; who runs it
    may end it for that.

    Raises:
        ConfigError: an option that does not fit its table, or rows that cannot be held out.
        ResamplingError: rows that the strategy cannot balance.
        TrainingError: a loss that left the finite.
    """
    rows = Examples.load(Path(job.prepared) / "train")
    path = Path(job.prepared) / "train" / "groups.npy"
    groups = np.load(path, allow_pickle=False) if path.exists() else None
    scores: list[dict[str, float]] = []
    parameters = 0
    for kept, held in folds(np.asarray(rows.labels), groups, job.folds or HELD_OUT, seed=job.seed):
        fitted = fit_one(
            job,
            rows.take(kept),
            rows.take(held),
            subject=job.name,
            kept=job.name,
            seed=job.seed,
            on_epoch=lambda epoch: _epoch(job, epoch),
        )
        scores.append(score(rows.take(held).labels, fitted.answers(rows.take(held))))
        parameters = fitted.model.count_params()
        keras.backend.clear_session()
        if not job.folds:
            break
        progress.measured(job.name, len(scores), _mean(scores)[job.metric])
    return Trained(
        name=job.name,
        directory=job.out,
        validation=_mean(scores),
        folds=tuple(scores) if job.folds else (),
        parameters=parameters,
    )


def _epoch(job: Job, epoch: dict[str, Any]) -> None:
    step = ALIVE if job.folds else int(epoch["epoch"])
    progress.measured(job.name, step, epoch["validation_metric"])


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
