"""Whose night it is, or batch: a numbered lease in the store with a heartbeat.

`leases/PIPELINE/NUMBER.json` (of a batch's target `leases/PIPELINE.HASH/`) is created for one
process only, as a store creates a key `if_absent`, and the highest number holds the pipeline. Its
holder writes the time into it five times in the seconds that the lease lasts
(`NOCTURNE_LEASE_SECONDS`, 150), so that a night that died is known as dead after these wherever
one looks from, and at once on its own machine; one that died before its first heartbeat too, for
the claim is one.
A process that was stopped, and wakes after another took over, finds a higher number: it must
ask `check` before it writes anything that lasts. Between the question and the write it may be
stopped again, so the number goes into the key of what it writes, or the write is to a ledger
that its heir has `silent` processes fenced off from.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import Field

from infra.failpoints import failpoint
from infra.storage import AlreadyExists, NotFound, Storage, StorageError
from tasks.references import Reference

logger = logging.getLogger(__name__)

BEATS = 5  # in the seconds that a lease lasts
LOOKED_BACK = 20
DIED = "died"  # what others wrote of it
UNHEARD = (None, DIED)
RETENTION_SECONDS = 600  # that a night waits for `nocturne gc`


class StillRunning(RuntimeError):
    """Another process holds the lease; the message names it, and what for."""

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
    target: str | None = Field(None, description="Of the batch that it is held for instead.")

    @property
    def what(self) -> str:
        """What it is held for, in words."""
        if self.target is not None:
            return f"the batch to {self.target}"
        return f"night {self.logical_date}" if self.doing == "night" else "nocturne gc"

    @property
    def name(self) -> str:
        """Of what is held: the pipeline, or one target of its batches."""
        if self.target is None:
            return self.pipeline
        return f"{self.pipeline}.{hashlib.sha256(self.target.encode()).hexdigest()[:16]}"


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
        last = latest(self.held.name, self._storage)
        if last is None or last.number != self.held.number or last.ended is not None:
            by = f"pid {last.pid} on {last.host}" if last else "nobody known"
            raise LeaseLost(
                f"{self.held.what} of {self.held.pipeline!r} was given up for dead "
                f"after {self.held.lasts:.0f} s of silence and taken over (by {by}); "
                "this process writes nothing more"
            )

    def silent(self) -> Held | None:
        """The last one before this that never said how it ended: it may only be asleep."""
        found = recent(self.held.name, self._storage)
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
    patience: float = 0.0,
) -> Iterator[Lease]:
    """Hold the pipeline for one night, with a heartbeat beside it.

    Args:
        pipeline: Its name.
        day: The night's logical date.
        storage: Holds the leases.
        lasts: Seconds without a heartbeat after which others take the night over.
        flow_run_id: Prefect's.
        doing: What for. A night waits up to 10 minutes for retention to end.
        patience: Seconds that it waits for another night to end.

    Raises:
        StillRunning: another process does, and is alive.
    """
    if doing == "night":
        _await_end(pipeline, storage, {"night": patience, "retention": RETENTION_SECONDS})
    mine = _mine(pipeline, day, lasts, flow_run_id=flow_run_id, doing=doing)
    with _kept(Lease(_claimed(mine, storage), storage)) as lease:
        yield lease


@contextmanager
def holding_batch(
    pipeline: str, day: date, target: str, storage: Storage, *, lasts: float = 150.0
) -> Iterator[Lease]:
    """Hold the target of a batch; when the batch ends, however it does, nothing of it is left.

    Args:
        pipeline: Its name.
        day: The batch's logical date.
        target: Where its answers go.
        storage: Holds the leases.
        lasts: Seconds without a heartbeat after which others take the batch over.

    Raises:
        StillRunning: another process writes there, and is alive.
    """
    held = _claimed(_mine(pipeline, day, lasts, target=target), storage)
    try:
        with _kept(Lease(held, storage)) as lease:
            yield lease
    finally:
        for number in range(1, held.number + 1):  # a killed one left its own
            storage.delete(_key(held.name, number))


@contextmanager
def _kept(lease: Lease) -> Iterator[Lease]:
    """Beat until the block ends, and say how it did."""
    failpoint("after_claim")
    threading.Thread(target=lease.beat, name="heartbeat", daemon=True).start()
    try:
        yield lease
    except BaseException as error:
        lease.end(type(error).__name__)
        raise
    lease.end("done")


def _await_end(pipeline: str, storage: Storage, patience: dict[str, float]) -> None:
    """Wait for who holds the pipeline, so many seconds as is worth it for what he does.

    Deleting takes seconds or minutes, and no night should be lost to it.
    """
    began = time.monotonic()
    last = latest(pipeline, storage)
    while last is not None and alive(last, time.time()):
        if time.monotonic() - began > patience[last.doing]:
            return
        time.sleep(1)
        last = latest(pipeline, storage)


def _mine(pipeline: str, day: date, lasts: float, **facts: Any) -> Held:
    """What this process writes into a lease; its number comes with the claim."""
    now = time.time()
    return Held(
        pipeline=pipeline,
        number=0,
        logical_date=day.isoformat(),
        pid=os.getpid(),
        host=socket.gethostname(),
        space=_space(),
        process_started=psutil.Process().create_time(),
        started=now,
        beat=now,
        lasts=lasts,
        **facts,
    )


def _claimed(mine: Held, storage: Storage) -> Held:
    last = latest(mine.name, storage)
    if last is not None and alive(last, mine.started):
        raise StillRunning(last, mine.started)
    mine = mine.model_copy(update={"number": last.number + 1 if last else 1})
    try:
        _write(mine, storage, if_absent=True)
    except AlreadyExists:
        raise StillRunning(latest(mine.name, storage) or mine, mine.started) from None
    return mine


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
    usual = {"doing"} if held.doing == "night" else set()  # an earlier version does not know it
    usual |= {name for name in ("registered", "target") if getattr(held, name) is None}
    data = held.model_dump_json(indent=1, exclude=usual).encode()
    storage.put(_key(held.name, held.number), data, if_absent=if_absent)


def _key(name: str, number: int) -> str:
    return f"leases/{name}/{number:08d}.json"


def _space() -> str:
    """The process id namespace; containers may share a host name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
