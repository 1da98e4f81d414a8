"""Processes of a platform: known by a mark in their environment, ended by their ids.

The mark is inherited, so that also what a part has started is found, whatever became of the part
and of the supervisor. A process id is only believed together with the time it was made.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from infra.local import write_whole

HOME_MARK, PART_MARK = "NOCTURNE_UP_HOME", "NOCTURNE_UP_PART"
LAST_WORDS_SECONDS = 5.0  # after SIGKILL


@dataclass(frozen=True)
class Left:
    """A part's process as it was recorded.

    Attributes:
        name: The part's.
        pid: Its process id.
        made: When the process was made, seconds since the epoch.
        ask: Number of the signal that asks it to end.
        patience_seconds: From that signal to SIGKILL.
    """

    name: str
    pid: int
    made: float
    ask: int
    patience_seconds: float


def record(file: Path, parts: Iterable[Left]) -> None:
    """Write down what runs, in the order of its start."""
    content = json.dumps([asdict(part) for part in parts], indent=2).encode()
    write_whole(file, lambda out: out.write(content))


def recorded(file: Path) -> list[Left]:
    """What was written down last; nothing where nothing can be read."""
    try:
        return [Left(**one) for one in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def leader(left: Left) -> psutil.Process | None:
    """The process of a record, if it is still the same one."""
    with suppress(psutil.Error):
        process = psutil.Process(left.pid)
        if abs(process.create_time() - left.made) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def marked(home: Path, part: str | None = None) -> list[psutil.Process]:
    """Every living process of a home's platform, or of one of its parts; never this one."""
    found, own = [], psutil.Process().pid
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended by itself, or is somebody else's
            if process.pid == own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            said = process.environ()
            if said.get(HOME_MARK) == str(home) and part in (None, said.get(PART_MARK)):
                found.append(process)
    return found


def end(
    home: Path,
    part: str | None,
    first: psutil.Process | None,
    ask: signal.Signals,
    patience_seconds: float,
) -> list[int]:
    """End a part and all it started: asked first, killed when it does not listen.

    Args:
        home: Of the platform.
        part: None: everything that carries the home's mark.
        first: The process that is asked alone, and may end the others in its own order.
        ask: The signal it is asked by; the others are asked by SIGTERM.
        patience_seconds: For it, and again for the others.

    Returns:
        The ids of what had to be ended.
    """
    ended: list[int] = []
    family = _below(first)
    if first is not None:
        ended += _ask([first], ask, patience_seconds)
    left = {process.pid: process for process in (*family, *marked(home, part))}
    living = [process for process in left.values() if runs(process)]
    return ended + _ask(living, signal.SIGTERM, patience_seconds)


def _ask(
    processes: list[psutil.Process], ask: signal.Signals, patience_seconds: float
) -> list[int]:
    left = processes
    for sent, seconds in ((ask, patience_seconds), (signal.SIGKILL, LAST_WORDS_SECONDS)):
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(sent)
        left = _left(left, seconds)
    return [process.pid for process in processes]


def _left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if runs(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    return left


def runs(process: psutil.Process) -> bool:
    """Whether it goes on; one that has ended and waits to be buried does not."""
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _below(process: psutil.Process | None) -> list[psutil.Process]:
    """What a process started, itself left out; PostgreSQL's children lose their environment."""
    if process is not None:
        with suppress(psutil.Error):
            return list(process.children(recursive=True))
    return []
