"""The worker process on this machine, and how processes ended, in words."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

from tasks.candidates.job import Job

logger = logging.getLogger(__name__)

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_DETERMINISTIC_OPS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
LAST_LINES = 8


class Room:
    """The worker process and the two pipes to it.

    Args:
        first: The job that comes first; the worker's last words go into its folder.
    """

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

    def lost(self) -> str:
        """Why there will be no more: how the worker ended, and its last words."""
        ending = manner(self._process.wait(), self._errors)
        return f"the process that starts candidates died ({ending})"

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


def manner(code: int, log: Path) -> str:
    """An exit in words, with the last lines the process wrote."""
    if code < 0:
        how = f"killed by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            how += "; when nobody killed it, memory ran out: fewer workers or a smaller batch"
        if -code == signal.SIGPROF:
            how += "; loading Keras came to no end: is there enough memory?"
    else:
        how = f"ended with code {code}"
    last = _last_lines(log.read_text("utf-8", "replace").splitlines()) if log.exists() else ""
    return f"{how}; its log ends: {last}" if last else how


def _last_lines(lines: Iterable[str]) -> str:
    said = dict.fromkeys(line.strip() for line in lines if line.strip())  # each line once
    return " | ".join(deque(said, LAST_LINES))
