"""Several server processes on one port: started, watched, replaced when they die."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from serving.limits import DRAIN_SECONDS

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
RESTART_SECONDS = 1.0
SEVERAL = "PROMETHEUS_MULTIPROC_DIR"


class Workers:
    """Processes that share a port.

    Args:
        command: Starts one; its number is added as the last word.
        count: How many.
        numbers: Folder in which they count together for `/metrics`; emptied first.
    """

    def __init__(self, command: Sequence[str], count: int, numbers: Path) -> None:
        self._command = list(command)
        self._numbers = numbers
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._count = count
        self._ending = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT; returns the exit code."""
        shutil.rmtree(self._numbers, ignore_errors=True)
        self._numbers.mkdir(parents=True)
        for ask in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ask, self._end)
        for number in range(self._count):
            self._start(number)
        while not self._ending:
            time.sleep(PAUSE_SECONDS)
            for number, process in list(self._running.items()):
                code = process.poll()
                if code is not None and not self._ending:
                    self._count_out(process.pid)
                    logger.error("process %d ended with %d; another begins", process.pid, code)
                    time.sleep(RESTART_SECONDS)
                    self._start(number)
        return self._wait()

    def _start(self, number: int) -> None:
        environment = {**os.environ, SEVERAL: str(self._numbers)}
        command = [*self._command, str(number)]
        self._running[number] = subprocess.Popen(command, env=environment)  # noqa: S603 - ourselves

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._ending = True
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()

    def _wait(self) -> int:
        ends = time.monotonic() + DRAIN_SECONDS + 10
        for process in self._running.values():
            try:
                process.wait(max(ends - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return max(abs(int(process.returncode)) for process in self._running.values())

    def _count_out(self, process: int) -> None:
        """Gauges of a dead process count no more."""
        for path in self._numbers.glob(f"gauge_live*_{process}.db"):
            path.unlink(missing_ok=True)
