"""Stage: every candidate of the pipeline, each in a process of its own."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect import task

from infra.failpoints import failpoint
from infra.settings import Settings
from infra.storage import open_storage
from tasks.candidates.job import Job
from tasks.candidates.jobs import jobs_of
from tasks.candidates.leftovers import go_on_or_clear
from tasks.candidates.parallel import run_all
from tasks.config import Pipeline
from tasks.questions import of_candidate
from tasks.references import Prepared, Trained
from tasks.steps import Steps, files_in

logger = logging.getLogger(__name__)


class NothingTrained(RuntimeError):
    """No candidate has a model; the message names each reason."""


@task
def train(pipeline: Pipeline, prepared: Prepared, *, fresh: bool = False) -> tuple[Trained, ...]:
    """Train all candidates but those that an earlier run of the same night finished.

    Those that fail say why and stop nobody; the next run tries them again.

    Args:
        pipeline: Its candidates.
        prepared: The encoded rows.
        fresh: Train all anew.

    Raises:
        NothingTrained: all failed.
    """
    jobs = jobs_of(pipeline, prepared)
    folder = Path(prepared.directory).parents[1] / "steps"
    steps = Steps(folder, open_storage(Settings()), fresh=fresh)
    done = _done(steps, [job for job in jobs if not job.combines], fresh=fresh)
    found = [(job, done[job.name]) for job in jobs if job.name in done]
    done |= _done(steps, [job.after(found) for job in jobs if job.combines], fresh=fresh)
    trained = tuple(done[job.name] for job in jobs)
    failed = [f"{each.name}: {each.failed}" for each in trained if each.failed]
    if len(failed) == len(trained):
        raise NothingTrained(f"no candidate could be trained; {'; '.join(failed)}")
    return trained


def _done(steps: Steps, jobs: list[Job], *, fresh: bool) -> dict[str, Trained]:
    """Each job's candidate, kept or trained now."""
    kept = {job.name: steps.kept(_step(job), Trained, _question(job)) for job in jobs}
    done = {name: trained for name, trained in kept.items() if trained is not None}
    left = [
        job if not fresh else job.model_copy(update={"key": uuid4().hex})  # as nobody asked before
        for job in jobs
        if job.name not in done
    ]
    settings = Settings()
    _fold_by_fold([job for job in left if settings.ray or job.distils], settings.workers)
    ended = run_all(left, workers=settings.workers, on_end=partial(_keep, steps))
    return done | {each.name: each for each in ended}


def _fold_by_fold(jobs: list[Job], workers: int) -> None:
    """Every fold by itself; a fold that fails fails in its candidate, which tells.

    So a cluster has work for all its nodes, and a lonely candidate here for all cores.
    """
    apart = [fold for job in jobs for fold in job.apart()]
    for job in jobs:
        go_on_or_clear(job)
    run_all(apart, workers=workers)


def _keep(steps: Steps, job: Job, trained: Trained) -> None:
    """A candidate as it ends; one that failed is not kept."""
    if trained.failed is None:
        files = [path for path in files_in(Path(job.out)) if path.name != "log.txt"]
        steps.keep(_step(job), _question(job), trained, files=files)
    failpoint(f"after_train_{job.name}")


def _step(job: Job) -> str:
    return f"train.{job.name}"


def _question(job: Job) -> dict[str, Any]:
    return of_candidate(job.model_dump(mode="json"))
