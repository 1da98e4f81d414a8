"""The supervisor: starts parts in order, restarts what dies or hangs, ends them in order.

A thread a part goes through its life; they share nothing but who is healthy. Output goes to files,
not to pipes, so that parts outlive a supervisor that was killed. The next one finds them by
the record and by their mark, ends them, and starts anew.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

from infra.platform import processes
from infra.platform.parts import Part
from infra.platform.processes import HOME_MARK, PART_MARK, Left

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
CHECK_SECONDS = 5.0
START_SECONDS = 600.0  # first start of a server on a busy machine: it makes its tables
AFTER_SECONDS = 120.0  # a first start waits so long for what it can do without
SILENCE_SECONDS = 120.0  # a server may be slow while candidates train on all cores
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
STEADY_SECONDS = 120.0  # well for so long, and the next pause is a short one again


class AlreadyUp(RuntimeError):
    """Another supervisor runs in this home; the message says which."""


class Lock:
    """One supervisor a home; the system takes the lock back however the process ends.

    Raises:
        AlreadyUp: somebody holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: IO[str] = (folder / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise AlreadyUp(
                f"{folder.parent}: `nocturne up` runs there already (pid {holder}); look at its "
                "page, or end it by `nocturne down`"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let another one begin."""
        self._file.close()


def holder(folder: Path) -> int | None:
    """The process id of the supervisor of a home, while one runs."""
    try:
        Lock(folder).release()
    except AlreadyUp:
        with suppress(ValueError, OSError):
            return int((folder / "lock").read_text("utf-8"))
    return None


def clear(home: Path, folder: Path) -> list[str]:
    """End what a killed supervisor left, in the reverse of the order it was started in.

    Only for who holds the lock.

    Returns:
        One line a part, and one for what no part's record named.
    """
    said, record = [], folder / "parts.json"
    for left in reversed(processes.recorded(record)):
        first, ask = processes.leader(left), signal.Signals(left.ask)
        ended = processes.end(home, left.name, first, ask, left.patience_seconds)
        if ended:
            said.append(f"{left.name}: ended what was left of it, pid {_listed(ended)}")
    if more := processes.end(home, None, None, signal.SIGTERM, 10.0):
        said.append(f"ended what was left, pid {_listed(more)}")
    record.unlink(missing_ok=True)
    return said


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(map(str, pids))


class Watched:
    """The life of one part, in a thread of its own."""

    def __init__(self, part: Part, supervisor: Supervisor) -> None:
        self.part = part
        self.state = "waits"
        self.said = ""
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._above = supervisor
        self._ending = threading.Event()
        self._pause = FIRST_PAUSE_SECONDS
        self._thread = threading.Thread(target=self._live, name=part.name, daemon=True)

    @property
    def healthy(self) -> bool:
        """Whether it answered when it was last asked, and runs."""
        return self.state == "healthy" and self._runs()

    def facts(self) -> dict[str, Any]:
        """What a page or a script shows of it."""
        running = self._runs()
        return {
            "name": self.part.name,
            "state": "ended" if self.state == "healthy" and not running else self.state,
            "said": self.said,
            "pid": self.process.pid if self.process is not None and running else None,
            "restarts": max(self.starts - 1, 0),
            "page": self.part.page,
        }

    def _runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def begin(self) -> None:
        """Start its life."""
        self._thread.start()

    def end(self) -> None:
        """End its life and wait for it."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.state = "ended"

    def _live(self) -> None:
        began = time.monotonic()
        while not self._ending.is_set():
            if not self._above.are_healthy(self._waits_for(time.monotonic() - began)):
                self.state = "waits"
                self._ending.wait(TICK_SECONDS)
                continue
            try:
                self.part.before()
                self._start()
                self.said = self._watch()
            except Exception as error:  # told, and tried again: a platform does not give up
                self.said = str(error) or type(error).__name__
            if self._ending.is_set():
                break
            self._clear(spare=self.part.spares)
            self.state = "pauses"
            logger.warning("%s: %s; again in %.0f s", self.part.name, self.said, self._pause)
            self._ending.wait(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self.state = "ends"
        self._clear(spare=False)

    def _waits_for(self, waited: float) -> tuple[str, ...]:
        first = not self.starts and waited < AFTER_SECONDS
        return self.part.needs + self.part.after if first else self.part.needs

    def _start(self) -> None:
        part, self.state = self.part, "starts"
        marks = {HOME_MARK: str(self._above.home), PART_MARK: part.name}
        given: dict[str, Any] = {}
        if part.user is not None:
            given = {"user": part.user[0], "group": part.user[1], "extra_groups": []}
        with self._above.log_of(part.name).open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the plan's own words
                part.command,
                env={**os.environ, **part.environment, **marks},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the supervisor alone
                **given,
            )
        self.starts += 1
        self._above.note()

    def _watch(self) -> str:
        """Until the process has ended or is given up; says why."""
        assert self.process is not None  # noqa: S101 - it was just started
        began = well = asked = time.monotonic()
        met = False
        while not self._ending.wait(TICK_SECONDS):
            code = self.process.poll()
            if code is not None:
                return f"ended with code {code}" if code >= 0 else f"died of signal {-code}"
            if met and time.monotonic() - asked < CHECK_SECONDS:
                continue
            asked = time.monotonic()
            if self.part.healthy():
                if not met:
                    self.part.ready()
                met, well, self.state, self.said = True, time.monotonic(), "healthy", ""
                if well - began > STEADY_SECONDS:
                    self._pause = FIRST_PAUSE_SECONDS
                continue
            silent = time.monotonic() - well
            if met and silent > 2 * CHECK_SECONDS:
                self.state, self.said = "silent", f"no answer for {silent:.0f} s"
            if not self._above.are_healthy(self.part.needs):
                well = time.monotonic()  # starting anew would not help it
            if silent > (SILENCE_SECONDS if met else START_SECONDS):
                return f"no answer for {silent:.0f} s"
        return ""

    def _clear(self, *, spare: bool) -> None:
        """End its process and, unless they are spared, what it started."""
        first = None
        if self.process is not None and self.process.poll() is None:
            with suppress(psutil.Error):
                first = psutil.Process(self.process.pid)
        if first is None and spare:
            return
        part = self.part
        processes.end(self._above.home, part.name, first, part.ask, part.patience_seconds)
        if self.process is not None:
            self.process.poll()


class Supervisor:
    """All parts of a platform.

    Args:
        home: Whose platform it is; marks the processes.
        folder: Holds record, lock and logs.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self._folder = folder
        self._watched: dict[str, Watched] = {}
        self._noting = threading.Lock()
        self._asked = threading.Event()
        (folder / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def logs(self) -> Path:
        """Where parts write what they say, a file each."""
        return self._folder / "logs"

    def log_of(self, name: str) -> Path:
        """The file of one part."""
        return self.logs / f"{name}.log"

    def add(self, part: Part) -> None:
        """Begin to run a part; it starts once what it needs is healthy."""
        self._watched[part.name] = Watched(part, self)
        self._watched[part.name].begin()

    def runs(self, name: str) -> bool:
        """Whether a part of this name was added."""
        return name in self._watched

    def are_healthy(self, names: Iterable[str] | None = None) -> bool:
        """Whether these parts, or all of them, answer."""
        wanted = list(self._watched) if names is None else names
        return all(name in self._watched and self._watched[name].healthy for name in wanted)

    def facts(self) -> list[dict[str, Any]]:
        """What there is to know of each part, in the order they were added."""
        return [one.facts() for one in list(self._watched.values())]

    def note(self) -> None:
        """Write down what runs, for whoever comes after a kill."""
        with self._noting:
            left = [found for one in list(self._watched.values()) if (found := _left(one))]
            processes.record(self._folder / "parts.json", left)

    def ask_to_end(self) -> None:
        """Let `run` return; also from a signal's handler."""
        self._asked.set()

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Until it is asked to end; then ends every part, the last one first."""
        try:
            while not self._asked.wait(TICK_SECONDS):
                meanwhile()
        finally:
            for one in reversed(list(self._watched.values())):
                logger.info(
                    "ending %s, in %.0f s at most", one.part.name, one.part.patience_seconds
                )
                one.end()
                meanwhile()
            processes.end(self.home, None, None, signal.SIGTERM, 10.0)
            (self._folder / "parts.json").unlink(missing_ok=True)


def _left(one: Watched) -> Left | None:
    process = one.process
    if process is None or process.poll() is not None:
        return None
    with suppress(psutil.Error):
        made = psutil.Process(process.pid).create_time()
        part = one.part
        return Left(part.name, process.pid, made, int(part.ask), part.patience_seconds)
    return None
