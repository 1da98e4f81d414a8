"""Production over a batch, as a flow that a deployment runs and as a plain call."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
from pathlib import Path

from prefect import flow

from tasks.config import Pipeline
from tasks.references import Predictions
from tasks.score import score_batch


@flow(name="score", flow_run_name="{pipeline.name}", persist_result=False)
def score(pipeline: Pipeline, source: str, target: str) -> Predictions:
    """Let Production answer the rows of a file, as a run that Prefect's page shows."""
    return score_batch(pipeline, source, target)


def score_file(pipeline: Pipeline, source: Path, target: Path) -> Predictions:
    """The same, at once and without a Prefect server."""
    return score_batch.fn(pipeline, str(source), str(target))
