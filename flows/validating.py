"""One question: does the source keep its contract today?"""

from __future__ import annotations

from datetime import UTC, date, datetime

from tasks.config import Pipeline
from tasks.ingest import ingest
from tasks.references import Validated
from tasks.validate import validate


def check(pipeline: Pipeline, day: date | None = None) -> Validated:
    """Ingest the source and check it, without a Prefect server and without training.

    Args:
        pipeline: What to look at.
        day: Logical date; today in UTC where absent.
    """
    day = day or datetime.now(UTC).date()
    return validate.fn(pipeline, ingest.fn(pipeline, day), day)
