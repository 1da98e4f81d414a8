"""The records of nights in the store.

`nights/PIPELINE/DATE/LEASE.json` is written once, by the process that held the lease of this
number, and the highest number of a date is its record. A process that was given up for dead
and wakes up writes beside its heir's record, never over it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, datetime

from infra.storage import Storage
from tasks.config import Schedule
from tasks.references import Night

logger = logging.getLogger(__name__)


def load(pipeline: str, day: date, storage: Storage) -> Night | None:
    """The record of a night, or None where there is none."""
    keys = _keys(pipeline, storage, day.isoformat())
    return _read(keys[day.isoformat()], storage) if keys else None


def finished(pipeline: str, day: date, storage: Storage) -> Night | None:
    """The record of a night that is over and need not run again, and says so; else None."""
    found = load(pipeline, day, storage)
    if found is None or found.outcome == "failed":
        return None
    said = "night %s is finished: %s; nothing to do, --force runs it anew"
    logger.info(said, day, found.reason)
    return found


def save(night: Night, storage: Storage, *, lease: int) -> None:
    """Write the record of a night; one that was run again counts instead of the one before.

    Args:
        night: The record.
        storage: Where to.
        lease: Number of the lease that the writer holds: the fence between it and its heirs.

    Raises:
        AlreadyExists: this holder wrote a record for this date before.
        StorageError: the store does not answer or refuses.
    """
    key = f"nights/{night.pipeline}/{night.logical_date}/{lease:08d}.json"
    storage.put(key, night.model_dump_json(indent=2).encode(), if_absent=True)


def recent(pipeline: str, storage: Storage, limit: int = 10) -> list[Night]:
    """The last nights, newest first."""
    return list(newest_first(pipeline, storage, limit))


def before(pipeline: str, day: date, storage: Storage, limit: int = 14) -> list[str]:
    """The nights before a date whose batch was accepted: they say what is usual."""
    folder = f"validations/{pipeline}/"
    dates = (key.removeprefix(folder).removesuffix(".json") for key in storage.keys(folder))
    return [found for found in dates if found < day.isoformat()][-limit:]


def recorded(pipeline: str, storage: Storage) -> list[str]:
    """The logical dates that have a record, oldest first."""
    return list(_keys(pipeline, storage))


def newest_first(pipeline: str, storage: Storage, limit: int = 400) -> Iterator[Night]:
    """Records, read one by one as they are asked for."""
    for key in list(reversed(_keys(pipeline, storage).values()))[:limit]:
        yield _read(key, storage)


def same_as(
    pipeline: str, day: date, data_digest: str, settings_digest: str, storage: Storage
) -> Night | None:
    """The night that already judged these rows under these settings, if it still counts.

    That is the last night that came to a verdict, and the night of the champion it left: both
    would only come to their verdicts again.
    """
    last: Night | None = None
    for night in newest_first(pipeline, storage):
        if night.outcome not in ("promoted", "kept") or night.logical_date >= day.isoformat():
            continue
        last = last or night
        counts = night is last or night.version == last.champion_after
        if counts and (night.data_digest, night.settings_digest) == (data_digest, settings_digest):
            return night.model_copy(update={"champion_after": last.champion_after})
        if night.version == last.champion_after:
            return None
    return None


def trained_at(pipeline: str, version: str, storage: Storage) -> datetime | None:
    """When the night that made a version ended; None where no record names it."""
    made = (n for n in newest_first(pipeline, storage) if n.version == version)
    night = next(made, None)
    return datetime.fromisoformat(night.finished_at) if night else None


def too_old(
    schedule: Schedule, pipeline: str, version: str | None, now: datetime, storage: Storage
) -> str | None:
    """A sentence about a champion trained longer ago than the pipeline allows.

    Args:
        schedule: Says how old it may be.
        pipeline: Its name.
        version: In Production.
        now: With a time zone.
        storage: Holds the records.
    """
    limit = schedule.max_champion_age_days
    made = trained_at(pipeline, version, storage) if version and limit is not None else None
    if made is None or limit is None:
        return None
    days = (now - made).total_seconds() / 86_400
    if days <= limit:
        return None
    return (
        f"champion v{version} was trained {days:.0f} days ago, more than "
        f"schedule.max_champion_age_days = {limit:g}; see why the nights since kept it"
    )


def _keys(pipeline: str, storage: Storage, day: str = "") -> dict[str, str]:
    """Logical date, oldest first, to the key of its record: the last of its keys.

    `DATE.json`, where earlier versions wrote, comes before any `DATE/LEASE.json`.
    """
    folder = f"nights/{pipeline}/"
    found = ((key, key.removeprefix(folder)) for key in storage.keys(f"{folder}{day}"))
    return {name.removesuffix(".json").partition("/")[0]: key for key, name in found}


def _read(key: str, storage: Storage) -> Night:
    return Night.model_validate_json(storage.get(key))
