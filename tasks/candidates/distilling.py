"""What the other candidates know, taught to one model that costs as much as one.

The student learns from a mixture: of a row's label, and of what those candidates that an ensemble
would take (`tasks.candidates.ensemble`) answered for it together, calibrated. These answers are
held-out ones: each is of fold models that had not learnt the row, and so says how sure one may be
of it. What is solved for in a blend learns the labels alone.

The student is measured as others are, on rows held out in the same folds. A fold's student never
meets the labels of the rows it answers for, but its teachers' answers for the *other* rows come
from models that did: so a little of these labels reaches it, by way of rows that are much like
them. Answers without that would need teachers for each pair of folds. The test rows, which judge
it in the end, are strangers to all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.candidates.ensemble import Ensemble
from tasks.candidates.job import Job
from tasks.distillation import lesson_of
from tasks.ragged import Examples


def taught(
    job: Job, held: Examples, groups: NDArray[np.str_] | None, validation: Examples
) -> tuple[Job, Examples]:
    """The student to fit in the job's place, and the rows with what it shall learn of each.

    Args:
        job: Its `members` are the folders of the candidates that may teach.
        held: Rows that folds held out.
        groups: Of those rows.
        validation: The validation rows.

    Raises:
        ConfigError: an option that does not fit.
    """
    student, hardness = lesson_of(job.architecture)
    said = Ensemble(job, held, groups, validation).answers["out_of_fold"]
    targets = (1 - hardness) * said
    targets[np.arange(len(held)), held.labels] += hardness
    learns = job.model_copy(update={"architecture": student})
    return learns, replace(held, targets=targets.astype(np.float32))
