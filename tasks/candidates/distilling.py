"""What the other candidates know, taught to one model that costs as much as one.

The student learns from a mixture: of a row's label, and of what those candidates that an ensemble
would take (`tasks.candidates.ensemble`) answer for it together, calibrated. These answers are
held-out ones: each is of fold models that had not learnt the row, and so says how sure one may be
of it. What is solved for in a blend learns the labels alone.

That student cannot be measured on train rows, and one taught like it with a fold left out cannot
be measured on that fold: answers for the *other* folds are of models that learnt its labels, and
on trec students that heard them looked 1.6 points more accurate than without. So a fold's
student hears only the teachers that had not seen the fold either, about rows that they had learnt.
That is a poorer lesson than the one the candidate gets: what ranks it is rather too low, and free
of its own labels (but for which candidates teach, and at what temperature).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.architectures import saved
from tasks.candidates.ensemble import Ensemble
from tasks.candidates.fitting import answers
from tasks.candidates.job import FOLDS, Job
from tasks.distillation import lesson_of
from tasks.evaluation.calibration import scaled
from tasks.ragged import Examples


class Lessons:
    """What a distilled candidate learns.

    Attributes:
        job: The candidate's, the student in its place.
        rows: Those that folds cut, with what the candidate learns of each.

    Args:
        job: Its `members` are the folders of the candidates that may teach.
        held: Rows that folds held out.
        groups: Of those rows.
        validation: The validation rows.

    Raises:
        ConfigError: an option that does not fit, or fewer than two candidates that may teach.
    """

    def __init__(
        self, job: Job, held: Examples, groups: NDArray[np.str_] | None, validation: Examples
    ) -> None:
        student, self._hardness = lesson_of(job.architecture)
        self._together = Ensemble(job, held, groups, validation)
        self.job = job.model_copy(update={"architecture": student})
        self.rows = self._mixed(held, self._together.answers["out_of_fold"])

    def of_fold(self, rows: Examples, number: int) -> Examples:
        """Rows outside a fold, with what its student learns of each.

        Args:
            rows: Those that the fold does not hold out.
            number: Of the fold, from 1.
        """
        paths = [Path(one) / FOLDS / str(number) / "model.keras" for one in self._together.members]
        mean = np.mean([answers(saved.load(path), rows) for path in paths], axis=0)
        return self._mixed(rows, scaled(mean, self._together.temperature))

    def _mixed(self, rows: Examples, said: NDArray[np.floating]) -> Examples:
        targets = (1 - self._hardness) * said
        targets[np.arange(len(rows)), rows.labels] += self._hardness
        return replace(rows, targets=targets.astype(np.float32))
