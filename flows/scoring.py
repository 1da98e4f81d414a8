"""Production over a batch, as a flow that a deployment runs and as a plain call."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
from datetime import UTC, date, datetime
from typing import cast

from prefect import flow
from prefect.runtime import flow_run

from flows import missed
from flows.display import aloud
from flows.overlap import given_way
from tasks.config import Choice, Pipeline
from tasks.lease import StillRunning
from tasks.references import Predictions
from tasks.score import score_batch


class BatchRefused(RuntimeError):
    """Too many rows of a batch had no answer; `predictions` says how many and where they are."""

    exit_code = 3

    def __init__(self, predictions: Predictions) -> None:
        super().__init__(predictions.refused)
        self.predictions = predictions


@flow(name="score", flow_run_name="{pipeline.name}", persist_result=False)
def score(
    pipeline: Pipeline,
    source: str | Choice | None = None,
    target: str | None = None,
    logical_date: date | None = None,
    *,
    force: bool = False,
) -> Predictions:
    """Let Production answer the rows of a batch, as a run that Prefect's page shows.

    Args:
        pipeline: Its `scoring` says what to read and write where the call does not.
        source: File, folder, `s3://bucket/prefix`, SELECT, or reader with options.
        target: File, or folder or `s3://bucket/prefix` for parts.
        logical_date: Of the batch; the day it was scheduled for, in `scoring.timezone`.
        force: Score also what an earlier run finished.

    Raises:
        BatchRefused: more rows than `scoring.max_rejected` had no answer.
        StillRunning: another run writes to the same target; a scheduled one is cancelled.
    """
    scheduled: datetime = flow_run.scheduled_start_time or datetime.now(UTC)
    day = logical_date or missed.local_day(scheduled, pipeline.scoring.timezone)
    try:
        with aloud(pipeline.name):
            found = score_batch(pipeline, source, target, day, fresh=force)
    except StillRunning as running:
        return cast("Predictions", given_way(running))
    if found.refused:
        raise BatchRefused(found)
    return found


def score_file(
    pipeline: Pipeline,
    source: str | None = None,
    target: str | None = None,
    logical_date: date | None = None,
    *,
    force: bool = False,
) -> Predictions:
    """The same, at once and without a Prefect server; a refusal is in the answer."""
    return score_batch.fn(pipeline, source, target, logical_date, fresh=force)
