"""A candidate that trains nothing: the mean of those others that answer best together.

Members join one by one, each time the one that makes the mean's held-out answers least surprising,
for as long as that helps (forward selection of Caruana et al. 2004, Ensemble Selection from
Libraries of Models, without repetition: weights of a handful of candidates are not worth fitting).
There are always two at least: whether their mean beats either alone is for the ranking to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.architectures import blocks, saved
from tasks.architectures.merged import merged
from tasks.candidates.folds import folds
from tasks.candidates.job import Job
from tasks.config import ConfigError
from tasks.evaluation.calibration import scaled, temperature
from tasks.evaluation.metrics import score
from tasks.ragged import Examples

Answers = NDArray[np.float32]
SPLITS = ("validation", "golden", "test", "out_of_fold")


class Ensemble:
    """The mean of some candidates, calibrated as they are: by rows that they had not seen.

    Attributes:
        members: Folders of those that were taken.
        answers: Split to `(rows, classes)`; `out_of_fold` where candidates have folds.
        temperature: At which their mean is calibrated.
        folds: Metrics on the held-out rows of each fold.

    Args:
        job: Its `members` are the folders of the candidates to choose from.
        held: Rows that every member answered for without having seen them.
        groups: Of those rows.
        validation: Rows that count where there are no folds.

    Raises:
        ConfigError: fewer than two candidates to choose from.
    """

    def __init__(
        self, job: Job, held: Examples, groups: NDArray[np.str_] | None, validation: Examples
    ) -> None:
        if len(job.members) < 2:
            name, others = job.architecture.name, len(job.members)
            raise ConfigError(f"{name}: needs two other candidates, got {others}")
        kept = "out_of_fold" if job.folds else "validation"
        judged = held if job.folds else validation
        self.members = chosen({each: _said(each, kept) for each in job.members}, judged.labels)
        splits = [each for each in SPLITS if job.folds or each != "out_of_fold"]
        means = {
            split: np.mean([_said(each, split) for each in self.members], axis=0)
            for split in splits
        }
        calibrate = job.training.calibrate
        self.temperature = temperature(judged.labels, means[kept]) if calibrate else 1.0
        self.answers = {
            split: scaled(mean, self.temperature).astype(np.float32)
            for split, mean in means.items()
        }
        parts = folds(held.labels, groups, job.folds, seed=job.seed) if job.folds else ()
        self.folds = tuple(
            score(held.labels[rows], self.answers["out_of_fold"][rows]) for _, rows in parts
        )

    def model(self) -> keras.Model:
        """One model that answers as they do together."""
        models = [saved.load(Path(each) / "model.keras") for each in self.members]
        return blocks.tempered(merged(models, name="ensemble"), self.temperature)


def chosen(answers: Mapping[str, Answers], labels: NDArray[np.int32]) -> list[str]:
    """Names of those whose mean is least surprised by the labels, two at least.

    Args:
        answers: Name to probabilities `(rows, classes)` of rows it had not seen.
        labels: Class indices `(rows,)`.
    """
    rows = np.arange(len(labels))

    def surprise(names: list[str]) -> float:
        mean = np.mean([answers[name][rows, labels] for name in names], axis=0)
        return float(-np.log(np.maximum(mean, 1e-7)).mean())

    taken: list[str] = []
    while len(taken) < len(answers):
        left = [name for name in answers if name not in taken]
        best = min(left, key=lambda name: surprise([*taken, name]))
        if len(taken) > 1 and surprise([*taken, best]) >= surprise(taken):
            break
        taken.append(best)
    return taken


def _said(folder: str, split: str) -> Answers:
    found: Answers = np.load(Path(folder) / f"{split}_probabilities.npy", allow_pickle=False)
    return found
