"""Whose night it is: a numbered lease in the store with a heartbeat.

`leases/PIPELINE/NUMBER.json` is created for one process only, as a store creates a key
`if_absent`, and the highest number holds the pipeline. Its holder writes the time into it five
times in the seconds that the lease lasts (`NOCTURNE_LEASE_SECONDS`, 150), so that a night that
died is known as dead after these wherever one looks from, and at once on its own machine; one
that died before its first heartbeat too, for the claim is one.
A process that was stopped, and wakes after another took over, finds a higher number: it must
ask `check` before it writes anything that lasts. Between the question and the write it may be
stopped again, so the number goes into the key of what it writes, or the write is to a ledger
that its heir has `silent` processes fenced off from.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import Field

from infra.failpoints import failpoint
from infra.storage import AlreadyExists, Storage, StorageError
from tasks.references import Reference

logger = logging.getLogger(__name__)

BEATS = 5  # in the seconds that a lease lasts
LOOKED_BACK = 20
DIED = "died"  # what others wrote of it
UNHEARD = (None, DIED)
RETENTION_SECONDS = 600  # that a night waits for `nocturne gc`


class NightRunning(RuntimeError):
    """Another night of the same pipeline holds the lease; the message names its process."""

    exit_code = 3  # of the command line: refused

    def __init__(self, held: Held, now: float) -> None:
        super().__init__(
            f"pipeline {held.pipeline!r}: {held.what} is still running "
            f"(pid {held.pid} on {held.host}, age {now - held.started:.0f} s); "
            "wait for it to end, then run again"
        )


class LeaseLost(RuntimeError):
    """Another process took this night over, because this one gave no sign of life."""


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

    @property
    def what(self) -> str:
        """What it is held for, in words."""
        return f"night {self.logical_date}" if self.doing == "night" else "nocturne gc"


class Lease:
    """The lease of this process."""

    def __init__(self, held: Held, storage: Storage) -> None:
        self.held = held
        self._storage = storage
        self._lock = threading.Lock()
        self._over = threading.Event()

    def check(self) -> None:
        """Go on only while the night is this process' own.

        Raises:
            LeaseLost: another process took it over, or declared it dead.
            StorageError: the store does not say.
        """
        last = latest(self.held.pipeline, self._storage)
        if last is None or last.number != self.held.number or last.ended is not None:
            by = f"pid {last.pid} on {last.host}" if last else "nobody known"
            raise LeaseLost(
                f"night {self.held.logical_date} of {self.held.pipeline!r} was given up for dead "
                f"after {self.held.lasts:.0f} s of silence and taken over (by {by}); "
                "this process writes nothing more"
            )

    def silent(self) -> Held | None:
        """The last one before this that never said how it ended: it may only be asleep."""
        found = recent(self.held.pipeline, self._storage)
        return next(
            (one for one in found if one.number < self.held.number and one.ended in UNHEARD), None
        )

    def note(self, **facts: Any) -> None:
        """Write something into the lease, and the time; raises as `check` does."""
        with self._lock:
            self.check()
            self.held = self.held.model_copy(update={**facts, "beat": time.time()})
            _write(self.held, self._storage)

    def beat(self) -> None:
        """Give signs of life until the lease ends or is lost."""
        while not self._over.wait(self.held.lasts / BEATS):
            try:
                self.note()
            except LeaseLost:
                return
            except StorageError as error:
                logger.warning("no heartbeat: %s", error)

    def end(self, how: str) -> None:
        """Say how the night ended, unless it is no longer this process' own."""
        self._over.set()
        try:
            self.note(ended=how)
        except (LeaseLost, StorageError) as error:
            logger.warning("lease not ended: %s", error)


@contextmanager
def holding(
    pipeline: str,
    day: date,
    storage: Storage,
    *,
    lasts: float = 150.0,
    flow_run_id: str | None = None,
    doing: Literal["night", "retention"] = "night",
) -> Iterator[Lease]:
    """Hold the pipeline for one night, with a heartbeat beside it.

    Args:
        pipeline: Its name.
        day: The night's logical date.
        storage: Holds the leases.
        lasts: Seconds without a heartbeat after which others take the night over.
        flow_run_id: Prefect's.
        doing: What for. A night waits up to 10 minutes for retention to end; nothing waits for
            a night.

    Raises:
        NightRunning: another process does, and is alive.
    """
    if doing == "night":
        _await_retention(pipeline, storage)
    lease = Lease(_claimed(pipeline, day, storage, lasts, flow_run_id, doing), storage)
    failpoint("after_claim")
    threading.Thread(target=lease.beat, name="heartbeat", daemon=True).start()
    try:
        yield lease
    except BaseException as error:
        lease.end(type(error).__name__)
        raise
    lease.end("done")


def _await_retention(pipeline: str, storage: Storage) -> None:
    """Deleting takes seconds or minutes, and no night should be lost to it."""
    until = time.monotonic() + RETENTION_SECONDS
    last = latest(pipeline, storage)
    while last is not None and last.doing == "retention" and alive(last, time.time()):
        if time.monotonic() > until:
            return
        time.sleep(1)
        last = latest(pipeline, storage)


def _claimed(
    pipeline: str,
    day: date,
    storage: Storage,
    lasts: float,
    flow_run_id: str | None,
    doing: Literal["night", "retention"] = "night",
) -> Held:
    now, last = time.time(), latest(pipeline, storage)
    if last is not None and alive(last, now):
        raise NightRunning(last, now)
    mine = Held(
        pipeline=pipeline,
        number=last.number + 1 if last else 1,
        logical_date=day.isoformat(),
        pid=os.getpid(),
        host=socket.gethostname(),
        space=_space(),
        process_started=psutil.Process().create_time(),
        started=now,
        beat=now,
        lasts=lasts,
        flow_run_id=flow_run_id,
        doing=doing,
    )
    try:
        _write(mine, storage, if_absent=True)
    except AlreadyExists:
        winner = latest(pipeline, storage)
        raise NightRunning(winner or mine, now) from None
    return mine


def latest(pipeline: str, storage: Storage) -> Held | None:
    """The lease with the highest number."""
    found = recent(pipeline, storage, limit=1)
    return found[0] if found else None


def recent(pipeline: str, storage: Storage, limit: int = LOOKED_BACK) -> list[Held]:
    """The last leases, newest first."""
    keys = sorted(storage.keys(f"leases/{pipeline}/"), reverse=True)[:limit]
    return [Held.model_validate_json(storage.get(key)) for key in keys]


def alive(held: Held, now: float) -> bool:
    """Whether the process of a lease still works on its night.

    Args:
        held: The lease.
        now: Seconds since 1970.
    """
    if held.ended is not None or now - held.beat > held.lasts:
        return False
    if (held.host, held.space) != (socket.gethostname(), _space()):
        return True
    try:
        return bool(abs(psutil.Process(held.pid).create_time() - held.process_started) < 1)
    except psutil.NoSuchProcess:
        return False


def dead(pipeline: str, storage: Storage, now: float) -> list[Held]:
    """Leases of nights that ended without saying so, newest first."""
    found = recent(pipeline, storage)
    return [each for each in found if each.ended is None and not alive(each, now)]


def bury(held: Held, storage: Storage) -> None:
    """Write into the lease of a dead night that it was found."""
    _write(held.model_copy(update={"ended": DIED}), storage)


def _write(held: Held, storage: Storage, *, if_absent: bool = False) -> None:
    key = f"leases/{held.pipeline}/{held.number:08d}.json"
    usual = {"doing"} if held.doing == "night" else set()  # an earlier version does not know it
    usual |= {"registered"} if held.registered is None else set()
    data = held.model_dump_json(indent=1, exclude=usual).encode()
    storage.put(key, data, if_absent=if_absent)


def _space() -> str:
    """The process id namespace; containers may share a host name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
