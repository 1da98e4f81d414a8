"""What probation found, night by night: `probations/PIPELINE/ENTRY/DATE.json` in the store.

ENTRY is the ledger's number of the promotion, so that each promotion has looks of its own.
"""

from __future__ import annotations

from infra.storage import Storage
from tasks.references import Probed


def key(pipeline: str, since: int, day: str) -> str:
    """Where the finding of a night lies."""
    return f"{_folder(pipeline, since)}{day}.json"


def save(storage: Storage, probed: Probed) -> None:
    """Keep what a night found."""
    where = key(probed.pipeline, probed.since, probed.logical_date)
    storage.put(where, probed.model_dump_json(indent=1).encode())


def looks(storage: Storage, pipeline: str, since: int) -> list[Probed]:
    """The nights that had rows enough to judge, oldest first."""
    keys = sorted(storage.keys(_folder(pipeline, since)))
    found = (Probed.model_validate_json(storage.get(one)) for one in keys)
    return [probed for probed in found if probed.judged]


def _folder(pipeline: str, since: int) -> str:
    return f"probations/{pipeline}/{since:08d}/"
