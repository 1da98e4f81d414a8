"""The records of nights in the store."""

from __future__ import annotations

from datetime import date

from infra.storage import NotFound, Storage
from tasks.references import Night


def key(pipeline: str, day: date) -> str:
    """Where the record of a night lies in the store."""
    return f"nights/{pipeline}/{day.isoformat()}.json"


def load(pipeline: str, day: date, storage: Storage) -> Night | None:
    """The record of a night, or None where there is none."""
    try:
        return Night.model_validate_json(storage.get(key(pipeline, day)))
    except NotFound:
        return None


def save(night: Night, storage: Storage) -> None:
    """Write the record of a night; a failed night may be run and recorded again."""
    day = date.fromisoformat(night.logical_date)
    storage.put(key(night.pipeline, day), night.model_dump_json(indent=2).encode())


def recent(pipeline: str, storage: Storage, limit: int = 10) -> list[Night]:
    """The last nights, newest first."""
    keys = sorted(storage.keys(f"nights/{pipeline}/"), reverse=True)[:limit]
    return [Night.model_validate_json(storage.get(name)) for name in keys]


def before(pipeline: str, day: date, storage: Storage, limit: int = 14) -> list[str]:
    """The nights before a date whose batch was accepted: they say what is usual."""
    folder = f"validations/{pipeline}/"
    dates = (key.removeprefix(folder).removesuffix(".json") for key in storage.keys(folder))
    return [found for found in dates if found < day.isoformat()][-limit:]
