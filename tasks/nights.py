"""The records of nights in the store, and the lock that keeps a pipeline to one night at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from infra.storage import NotFound, Storage
from tasks.references import Night


class NightRunning(RuntimeError):
    """Another night of the same pipeline holds the lock; the message names its process."""


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


@contextmanager
def exclusive(pipeline: str, home: Path) -> Iterator[None]:
    """Hold the pipeline's lock; the system frees it when the process ends, however it ends.

    Raises:
        NightRunning: another process holds it.
    """
    path = home / "locks" / f"{pipeline}.night"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid, _, started = lock.read().partition(" ")
            age = f"{time.time() - float(started):.0f} s" if started else "unknown"
            raise NightRunning(
                f"pipeline {pipeline!r}: a night is still running (pid {pid or 'unknown'}, "
                f"age {age}); wait for it to end, then run again"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()} {time.time()}")
        lock.flush()
        yield
