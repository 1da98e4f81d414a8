"""SIGTERM as an exception, so that a night that is asked to end can say what it leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 143  # 128 + SIGTERM, as shells and Kubernetes know it


class NightStopped(SystemExit):
    """SIGTERM reached the night; the process ends with code 143."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)

    def __str__(self) -> str:
        return "SIGTERM"


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM into `NightStopped` until the block ends; a second one changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)
    raise NightStopped
