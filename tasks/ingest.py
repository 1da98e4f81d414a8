"""Stage: read the source and keep what it says as a snapshot."""

from __future__ import annotations

from datetime import date

from prefect import task

from infra.settings import Settings
from infra.storage import open_storage
from tasks.config import Pipeline
from tasks.references import Snapshot


@task
def ingest(pipeline: Pipeline, logical_date: date) -> Snapshot:
    """The rows of a logical date as a content-addressed snapshot in the store."""
    from tasks.datasets.intake import take_in

    return take_in(pipeline, logical_date, open_storage(Settings()))
