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

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal

import psutil

from infra.failpoints import failpoint
from infra.storage import AlreadyExists, Storage, StorageError
from tasks.leases import (
    UNHEARD,
    Held,
    alive,
    is_here,
    key_of,
    latest,
    name_of_batch,
    recent,
    space,
    write,
)

logger = logging.getLogger(__name__)

BEATS = 5  # in the seconds that a lease lasts
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
        if last is None or last.claim != self.held.claim or last.ended is not None:
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
            write(self.held, self._storage)

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
    _await_end(name_of_batch(pipeline, target), storage, {"night": 0.0})
    held = _claimed(_mine(pipeline, day, lasts, target=target), storage)
    try:
        with _kept(Lease(held, storage)) as lease:
            yield lease
    finally:
        _swept(held, storage)


def _swept(mine: Held, storage: Storage) -> None:
    """Delete the leases of a batch, those of killed ones too, unless another took it over."""
    try:
        last = latest(mine.name, storage)
        if last is not None and last.claim == mine.claim:
            for number in range(1, mine.number + 1):
                storage.delete(key_of(mine.name, number))
    except StorageError as error:
        logger.warning("lease not deleted: %s", error)


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


def _await_end(name: str, storage: Storage, patience: Mapping[str, float]) -> None:
    """Wait for who holds it, so many seconds as is worth it for what he does.

    Deleting takes seconds or minutes, and no night should be lost to it. Of a holder on another
    machine nobody knows whether he lives until he gives a sign of it, or his lease is over.
    """
    began, first = time.monotonic(), latest(name, storage)
    last = first
    while first is not None and last is not None and alive(last, time.time()):
        known = is_here(last) or (last.claim, last.beat) != (first.claim, first.beat)
        if known and time.monotonic() - began > patience[last.doing]:
            return
        if last is first:
            logger.info("waiting for %s (pid %d on %s)", last.what, last.pid, last.host)
        time.sleep(1)
        last = latest(name, storage)


def _mine(pipeline: str, day: date, lasts: float, **facts: Any) -> Held:
    """What this process writes into a lease; its number comes with the claim."""
    now = time.time()
    return Held(
        pipeline=pipeline,
        number=0,
        logical_date=day.isoformat(),
        pid=os.getpid(),
        host=socket.gethostname(),
        space=space(),
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
        write(mine, storage, if_absent=True)
    except AlreadyExists:
        raise StillRunning(latest(mine.name, storage) or mine, mine.started) from None
    return mine
