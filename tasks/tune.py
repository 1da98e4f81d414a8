"""Stage: a search for settings, within the minutes that the pipeline gives it."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
from prefect import task

from infra.settings import Settings
from tasks.candidates.jobs import jobs_of
from tasks.config import Candidate, Pipeline
from tasks.ragged import Examples
from tasks.references import Prepared
from tasks.tuned import Tuned

logger = logging.getLogger(__name__)

SKEWED = 3  # largest class over smallest from which balancing is tried
TAKEN_ON = 3  # winners of the last search that are tried again


@task
def tune(
    pipeline: Pipeline, prepared: Prepared, day: date, before: Tuned | None, *, folder: Path
) -> Tuned:
    """Search, or take the last search's winner where that is young enough.

    Args:
        pipeline: Its `tune`, and the candidates to begin with.
        prepared: The encoded rows; only train rows are read.
        day: The night.
        before: The last search of an earlier night.
        folder: Of this very search; one that was killed goes on there.
    """
    if before is not None:
        age = (day - date.fromisoformat(before.logical_date)).days
        if age < pipeline.tune.every_days:
            reason = f"searched on {before.logical_date}, {age} of {pipeline.tune.every_days} days"
            logger.info("search: %s ago; its winner is trained", reason)
            return before.model_copy(update={"reason": f"{reason} ago: {before.reason}"})
    from tasks.tuning.search import Search

    for left in folder.parent.iterdir() if folder.parent.exists() else ():
        if left != folder:
            shutil.rmtree(left, ignore_errors=True)
    workers = Settings().workers
    threads = max(1, len(os.sched_getaffinity(0)) // workers)  # trials share the cores
    template = jobs_of(pipeline, prepared)[0].model_copy(update={"threads": threads})
    known = [Candidate.model_validate(t.candidate) for t in before.best(TAKEN_ON)] if before else []
    search = Search(
        pipeline,
        template,
        known,
        skewed=_skew(prepared) >= SKEWED,
        folder=folder,
        day=day.isoformat(),
    )
    return search.run(workers)


def _skew(prepared: Prepared) -> float:
    """Train rows of the largest class for one of the smallest."""
    labels = Examples.load(Path(prepared.directory) / "train").labels
    counts = np.bincount(labels, minlength=len(prepared.classes))
    return float(counts.max() / max(int(counts[counts > 0].min()), 1))
