"""The records of monitored days in the store: `monitoring/PIPELINE/DATE.json`."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from infra.settings import Settings
from infra.storage import NotFound, Storage
from tasks.references import Watched


def key(pipeline: str, day: date) -> str:
    """Where the record of a day lies."""
    return f"monitoring/{pipeline}/{day.isoformat()}.json"


def page(settings: Settings, watched: Watched) -> Path:
    """Where the drift report of a day is written, before it goes to the store."""
    return settings.work / watched.pipeline / "monitoring" / f"{watched.logical_date}.html"


def load(storage: Storage, pipeline: str, day: date) -> Watched | None:
    """The record of a day, or None where there is none."""
    try:
        return Watched.model_validate_json(storage.get(key(pipeline, day)))
    except NotFound:
        return None


def save(storage: Storage, watched: Watched) -> None:
    """Write the record of a day; the last word on whether it raised an alarm."""
    day = date.fromisoformat(watched.logical_date)
    storage.put(key(watched.pipeline, day), watched.model_dump_json(indent=1).encode())


def before(storage: Storage, pipeline: str, day: date, days: int) -> list[Watched]:
    """Records of the days before a date that have one, oldest first.

    Args:
        storage: Of the pipeline.
        pipeline: Its name.
        day: Not among them.
        days: How far to look back.
    """
    dates = (day - timedelta(days=back) for back in range(days, 0, -1))
    found = (load(storage, pipeline, one) for one in dates)
    return [watched for watched in found if watched is not None]


def flags(storage: Storage, pipeline: str, day: date, days: int) -> list[bool]:
    """Which of the days before a date were conspicuous and not used up by an alarm since.

    A day without a record was not.
    """
    found: list[bool] = []
    for back in range(days, 0, -1):
        watched = load(storage, pipeline, day - timedelta(days=back))
        if watched is not None and watched.alarm:
            found = [False] * len(found)
        found.append(bool(watched and watched.conspicuous and not watched.alarm))
    return found
