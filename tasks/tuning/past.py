"""Searches of earlier nights in the store, `tuning/PIPELINE/DATE.json`: where the next begins."""

from __future__ import annotations

import logging
from datetime import date

from pydantic import ValidationError

from infra.storage import Storage
from tasks.tuned import Tuned

logger = logging.getLogger(__name__)


def save(pipeline: str, found: Tuned, storage: Storage) -> None:
    """Keep a search for later nights.

    Raises:
        StorageError: the store does not answer or refuses.
    """
    storage.put(_key(pipeline, found.logical_date), found.model_dump_json(indent=1).encode())


def newest(pipeline: str, day: date, storage: Storage) -> Tuned | None:
    """The last search before a night; None where there is none, or none that can be read.

    Raises:
        StorageError: the store does not answer.
    """
    wanted = _key(pipeline, day.isoformat())
    earlier = [key for key in storage.keys(f"tuning/{pipeline}/") if key < wanted]
    if not earlier:
        return None
    try:
        return Tuned.model_validate_json(storage.get(earlier[-1]))
    except ValidationError:
        logger.warning("%s: not a search that this version can read; begun anew", earlier[-1])
        return None


def _key(pipeline: str, day: str) -> str:
    return f"tuning/{pipeline}/{day}.json"
