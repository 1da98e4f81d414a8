"""Candidates side by side, each in a process of its own, so that its memory goes with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from infra import memory
from tasks import progress
from tasks.candidates.job import Job
from tasks.references import Trained

logger = logging.getLogger(__name__)

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_DETERMINISTIC_OPS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
LAST_LINES = 8


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
    room = _Room(first)
    try:
        return _Loop(room, on_end, on_value).run(chain([first], waiting), workers)
    finally:
        room.close()


def _clear(job: Job) -> None:
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "trained.json").unlink(missing_ok=True)


class _Loop:
    """Keeps processes busy and hears what they say until all jobs have ended."""

    def __init__(self, room: _Room, on_end: OnEnd | None, on_value: OnValue | None) -> None:
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
                lost = f"the process that starts candidates died ({self._room.ending()})"
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


class _Room:
    """The worker process and the two pipes to it."""

    def __init__(self, first: Job) -> None:
        threads = {"OMP_NUM_THREADS": str(first.threads)}
        self._errors = Path(first.out) / "worker.txt"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.candidates.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **QUIET, **threads},
                start_new_session=True,
            )
        self._asks = cast(IO[bytes], self._process.stdin)
        self._says = cast(IO[bytes], self._process.stdout)

    def start(self, job: Job) -> None:
        """Ask for a job; a worker that died is noticed when it is next listened to."""
        self._ask(job.name, job.model_dump_json())

    def end(self, name: str) -> None:
        """Ask for a job's end; that it ended is heard like any other end."""
        self._ask(name, json.dumps({"end": name}))

    def _ask(self, name: str, line: str) -> None:
        try:
            self._asks.write(line.encode() + b"\n")
            self._asks.flush()
        except BrokenPipeError:
            logger.warning("%s: the worker process is gone", name)

    def hear(self) -> dict[str, Any] | None:
        """The next message; None when there will be no more."""
        line = self._says.readline()
        if not line.endswith(b"\n"):
            return None
        message: dict[str, Any] = json.loads(line)
        return message

    def ending(self) -> str:
        """How the worker ended, and its last words."""
        return _manner(self._process.wait(), self._errors)

    def close(self) -> None:
        """End the worker and, with it, whatever still runs."""
        try:
            self._asks.close()
        except BrokenPipeError:
            logger.debug("the worker process was gone before it was closed")
        self._says.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _ended(job: Job, code: int, reason: str | None) -> Trained:
    """What a job that ended left behind."""
    path = Path(job.out) / "trained.json"
    if code == 0 and path.exists():
        return Trained.model_validate_json(path.read_text("utf-8"))
    return _failed(job, reason or _manner(code, Path(job.out) / "log.txt"))


def _failed(job: Job, reason: str) -> Trained:
    reason = memory.explained(reason)
    logger.warning("%s: %s", job.name, reason)
    return Trained(name=job.name, directory=job.out, failed=reason)


def _manner(code: int, log: Path) -> str:
    """The exit in words, with the last lines the process wrote."""
    if code < 0:
        manner = f"killed by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            manner += "; when nobody killed it, memory ran out: fewer workers or a smaller batch"
        if -code == signal.SIGPROF:
            manner += "; loading Keras came to no end: is there enough memory?"
    else:
        manner = f"ended with code {code}"
    last = _last_lines(log.read_text("utf-8", "replace").splitlines()) if log.exists() else ""
    return f"{manner}; its log ends: {last}" if last else manner


def _last_lines(lines: Iterable[str]) -> str:
    said = dict.fromkeys(line.strip() for line in lines if line.strip())  # each line once
    return " | ".join(deque(said, LAST_LINES))


def _relay(message: dict[str, Any]) -> None:
    """A child's progress and log records, as if they were of this process."""
    if "progress" in message:
        subject, done, total, note = message["progress"]
        progress.report(subject, done, total, note)
    else:
        logging.getLogger(message["name"]).log(message["level"], "%s", message["log"])
