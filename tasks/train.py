"""Stage: every candidate of the pipeline, each in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from prefect import task

from infra.settings import Settings
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Pipeline
from tasks.references import Prepared, Trained

logger = logging.getLogger(__name__)


class NothingTrained(RuntimeError):
    """No candidate has a model; the message names each reason."""


@task
def train(pipeline: Pipeline, prepared: Prepared) -> tuple[Trained, ...]:
    """Train all candidates; those that failed say why and stop nobody.

    Raises:
        NothingTrained: all failed.
    """
    workers = min(Settings().workers, len(pipeline.candidates))
    trained = tuple(run_all(jobs_of(pipeline, prepared, workers), workers=workers))
    failed = [f"{each.name}: {each.failed}" for each in trained if each.failed]
    if len(failed) == len(trained):
        raise NothingTrained(f"no candidate could be trained; {'; '.join(failed)}")
    return trained


def jobs_of(pipeline: Pipeline, prepared: Prepared, workers: int) -> list[Job]:
    """What each candidate's process is told; earlier candidates' files are removed.

    Args:
        pipeline: Its candidates, training settings, folds, metric and seed.
        prepared: The encoded rows.
        workers: Processes at once; they share the cores.
    """
    from tasks.sequences.preprocessor import preprocessor_from_json

    home = Path(prepared.directory)
    state = json.loads((home / "preprocessor.json").read_text("utf-8"))
    out = home.parents[1] / "candidates"
    shutil.rmtree(out, ignore_errors=True)
    return [
        Job(
            name=candidate.name,
            prepared=prepared.directory,
            out=str(out / candidate.name),
            architecture=candidate.architecture,
            resampling=candidate.resampling,
            training=pipeline.training_of(candidate),
            classes=prepared.classes,
            spec=preprocessor_from_json(state).spec,
            folds=pipeline.folds,
            metric=pipeline.evaluation.metric,
            seed=pipeline.seed,
            threads=max(1, len(os.sched_getaffinity(0)) // workers),
        )
        for candidate in pipeline.candidates
    ]
