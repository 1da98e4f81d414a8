"""What an earlier process left in a candidate's folder, to go on with or to remove."""

from __future__ import annotations

import shutil
from pathlib import Path

from tasks.candidates.job import FOLDS, RESUME, Job
from tasks.training.checkpoints import write


def go_on_or_clear(job: Job) -> None:
    """Leave only what an earlier process left of this very job."""
    out, key = Path(job.out), Path(job.out) / RESUME / "key"
    if job.key and key.exists() and key.read_text("utf-8") == job.key:
        return
    for left in (out / FOLDS, out / RESUME):
        shutil.rmtree(left, ignore_errors=True)
    for answered in out.glob("*_probabilities.npy"):
        answered.unlink()
    if job.key:
        write(key, lambda file: file.write(job.key.encode()))
