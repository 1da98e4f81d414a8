"""Candidates side by side, each in a process of its own, so that its memory goes with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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


def run_all(jobs: Sequence[Job], *, workers: int, on_end: OnEnd | None = None) -> list[Trained]:
    """Train every candidate, at most `workers` at once; one that dies does not stop the others.

    Args:
        jobs: What to train; each with a folder of its own.
        workers: Processes at once.
        on_end: Hears of each job as it ends.

    Returns:
        One `Trained` a job, in order; `failed` says why there is no model.
    """
    if not jobs:
        return []
    for job in jobs:
        out = Path(job.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "trained.json").unlink(missing_ok=True)
    room = _Room(jobs[0])
    try:
        return _run(jobs, room, workers, on_end)
    finally:
        room.close()


def _run(jobs: Sequence[Job], room: _Room, workers: int, on_end: OnEnd | None) -> list[Trained]:
    """Keep `workers` jobs running and hear what they say until all have ended."""
    waiting = deque(jobs)
    running: dict[str, Job] = {}
    reasons: dict[str, str] = {}
    ended: dict[str, Trained] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            job = waiting.popleft()
            running[job.name] = job
            room.start(job)
        message = room.hear()
        if message is None:
            lost = f"the process that starts candidates died ({room.ending()})"
            for job in (*running.values(), *waiting):
                ended[job.name] = _failed(job, lost)
            break
        if "failed" in message:
            reasons[message["failed"]] = message["reason"]
        elif "ended" in message:
            job = running.pop(message["ended"])
            ended[job.name] = _ended(job, message["code"], reasons.get(job.name))
            if on_end:
                on_end(job, ended[job.name])
        else:
            _relay(message)
    return [ended[job.name] for job in jobs]


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
        try:
            self._asks.write(job.model_dump_json().encode() + b"\n")
            self._asks.flush()
        except BrokenPipeError:
            logger.warning("%s: the worker process is gone", job.name)

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
