"""Leases as they lie in the store: whose a pipeline is, or a batch's target, and whether he lives.

`leases/PIPELINE/NUMBER.json`, of a batch's target `leases/PIPELINE.HASH/`; the highest number
holds it. `tasks.lease` claims them.
"""

from __future__ import annotations

import hashlib
import socket
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil
from pydantic import Field

from infra.storage import NotFound, Storage
from tasks.references import Reference

LOOKED_BACK = 20
DIED = "died"  # what others wrote of it
UNHEARD = (None, DIED)


class Held(Reference):
    """A lease as it lies in the store."""

    pipeline: str
    number: int
    logical_date: str
    pid: int
    host: str
    space: str = Field(description="Process ids mean something within it only.")
    process_started: float = Field(description="Tells the process from a later one of its id.")
    started: float = Field(description="Seconds since 1970.")
    beat: float = Field(description="Last sign of life, seconds since 1970.")
    lasts: float = Field(150.0, description="Seconds after the last beat until it is dead.")
    run_id: str | None = Field(None, description="MLflow run of the night.")
    flow_run_id: str | None = Field(None, description="Prefect's.")
    registered: str | None = Field(None, description="Version of the night, once there is one.")
    ended: str | None = Field(None, description="How; None while it runs, and when it died.")
    doing: Literal["night", "retention"] = Field("night", description="What it is held for.")
    target: str | None = Field(None, description="Of the batch that it is held for instead.")

    @property
    def what(self) -> str:
        """What it is held for, in words."""
        if self.target is not None:
            return f"the batch to {self.target}"
        return f"night {self.logical_date}" if self.doing == "night" else "nocturne gc"

    @property
    def claim(self) -> tuple[int, str, int, float]:
        """Tells it from all others: numbers of a batch's leases begin anew."""
        return self.number, self.host, self.pid, self.started

    @property
    def name(self) -> str:
        """Of what is held: the pipeline, or one target of its batches."""
        return self.pipeline if self.target is None else name_of_batch(self.pipeline, self.target)


def latest(name: str, storage: Storage) -> Held | None:
    """The lease with the highest number of a pipeline, or of what else has a name."""
    found = recent(name, storage, limit=1)
    return found[0] if found else None


def recent(name: str, storage: Storage, limit: int = LOOKED_BACK) -> list[Held]:
    """The last leases, newest first."""
    found = []
    for key in sorted(storage.keys(f"leases/{name}/"), reverse=True)[:limit]:
        with suppress(NotFound):  # a batch has ended meanwhile
            found.append(Held.model_validate_json(storage.get(key)))
    return found


def alive(held: Held, now: float) -> bool:
    """Whether the process of a lease still works on its night.

    Args:
        held: The lease.
        now: Seconds since 1970.
    """
    if held.ended is not None or now - held.beat > held.lasts:
        return False
    if not is_here(held):
        return True
    try:
        return bool(abs(psutil.Process(held.pid).create_time() - held.process_started) < 1)
    except psutil.NoSuchProcess:
        return False


def is_here(held: Held) -> bool:
    """Whether its process can be looked at."""
    return (held.host, held.space) == (socket.gethostname(), space())


def dead(pipeline: str, storage: Storage, now: float) -> list[Held]:
    """Leases of nights that ended without saying so, newest first."""
    found = recent(pipeline, storage)
    return [each for each in found if each.ended is None and not alive(each, now)]


def bury(held: Held, storage: Storage) -> None:
    """Write into the lease of a dead night that it was found."""
    write(held.model_copy(update={"ended": DIED}), storage)


def write(held: Held, storage: Storage, *, if_absent: bool = False) -> None:
    """Store a lease; with `if_absent` one writer of its number wins."""
    usual = {"doing"} if held.doing == "night" else set()  # an earlier version does not know it
    usual |= {name for name in ("registered", "target") if getattr(held, name) is None}
    data = held.model_dump_json(indent=1, exclude=usual).encode()
    storage.put(key_of(held.name, held.number), data, if_absent=if_absent)


def name_of_batch(pipeline: str, target: str) -> str:
    """What the leases of one target of a pipeline's batches are under."""
    return f"{pipeline}.{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def key_of(name: str, number: int) -> str:
    """Where a lease lies."""
    return f"leases/{name}/{number:08d}.json"


def space() -> str:
    """The process id namespace; containers may share a host name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
