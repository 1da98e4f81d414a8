"""Candidates side by side, each in a process of its own, so that its memory goes with it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import memory
from infra.settings import Settings
from tasks import progress
from tasks.candidates.job import Job
from tasks.candidates.room import Room, manner
from tasks.references import Trained

if TYPE_CHECKING:
    from tasks.candidates.cluster import Cluster

logger = logging.getLogger(__name__)

OnEnd = Callable[[Job, Trained], None]
OnValue = Callable[[Job, int, float], bool]


def run_all(
    jobs: Iterable[Job],
    *,
    workers: int,
    on_end: OnEnd | None = None,
    on_value: OnValue | None = None,
) -> list[Trained]:
    """Train every candidate, at most `workers` at once; one that dies does not stop the others.

    Args:
        jobs: What to train; each with a folder of its own. The next one is asked for when a
            process is free, so that it may depend on how others ended.
        workers: Processes at once.
        on_end: Hears of each job as it ends.
        on_value: Hears what a job has measured at a step; its job is ended where it says so.

    Returns:
        One `Trained` a job, in order; `failed` says why there is no model.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return []
    _clear(first)
    room = _room(first)
    try:
        return _Loop(room, on_end, on_value).run(chain([first], waiting), workers)
    finally:
        room.close()


def _room(first: Job) -> Room | Cluster:
    """Where jobs run: on this machine, or on the cluster that the environment names."""
    if not Settings().ray:
        return Room(first)
    from tasks.candidates.cluster import Cluster

    return Cluster(first)


def _clear(job: Job) -> None:
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "trained.json").unlink(missing_ok=True)


class _Loop:
    """Keeps processes busy and hears what they say until all jobs have ended."""

    def __init__(
        self, room: Room | Cluster, on_end: OnEnd | None, on_value: OnValue | None
    ) -> None:
        self._room = room
        self._on_end = on_end
        self._on_value = on_value
        self._running: dict[str, Job] = {}
        self._reasons: dict[str, str] = {}
        self._stopped: set[str] = set()
        self._ended: dict[str, Trained | None] = {}  # in the order in which they began

    def run(self, waiting: Iterator[Job], workers: int) -> list[Trained]:
        """See `run_all`."""
        while self._fill(waiting, workers):
            message = self._room.hear()
            if message is None:
                lost = self._room.lost()
                for job in chain(list(self._running.values()), waiting):
                    self._end(job, _failed(job, lost))
                break
            self._heed(message)
        return [trained for trained in self._ended.values() if trained is not None]

    def _fill(self, waiting: Iterator[Job], workers: int) -> bool:
        """Start what waits; False where nothing runs and nothing waits any more."""
        while len(self._running) < workers and (job := next(waiting, None)) is not None:
            _clear(job)
            self._running[job.name] = job
            self._ended[job.name] = None
            self._room.start(job)
        return bool(self._running)

    def _heed(self, message: dict[str, Any]) -> None:
        if "failed" in message:
            self._reasons[message["failed"]] = message["reason"]
        elif "ended" in message:
            job = self._running.pop(message["ended"])
            if "reason" in message:
                self._reasons[job.name] = message["reason"]
            self._end(job, self._outcome(job, message["code"]))
        elif "value" in message:
            name, step, value = message["value"]
            if self._on_value and self._on_value(self._running[name], step, value):
                self._stopped.add(name)
                self._room.end(name)
        else:
            _relay(message)

    def _outcome(self, job: Job, code: int) -> Trained:
        if code == -signal.SIGKILL and job.name in self._stopped:
            return Trained(name=job.name, directory=job.out, failed="ended early")
        return _ended(job, code, self._reasons.get(job.name))

    def _end(self, job: Job, trained: Trained) -> None:
        self._ended[job.name] = trained
        if self._on_end:
            self._on_end(job, trained)


def _ended(job: Job, code: int, reason: str | None) -> Trained:
    """What a job that ended left behind."""
    path = Path(job.out) / "trained.json"
    if code == 0 and path.exists():
        return Trained.model_validate_json(path.read_text("utf-8"))
    return _failed(job, reason or manner(code, Path(job.out) / "log.txt"))


def _failed(job: Job, reason: str) -> Trained:
    reason = memory.explained(reason)
    logger.warning("%s: %s", job.name, reason)
    return Trained(name=job.name, directory=job.out, failed=reason)


def _relay(message: dict[str, Any]) -> None:
    """A child's progress and log records, as if they were of this process."""
    if "progress" in message:
        subject, done, total, note = message["progress"]
        progress.report(subject, done, total, note)
    else:
        logging.getLogger(message["name"]).log(message["level"], "%s", message["log"])
