"""Where a demonstration is played: a home of its own, the real command, the real server."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.settings import Settings

FOREIGN = ("NOCTURNE_", "PREFECT_", "MLFLOW_")
KEPT = ("NOCTURNE_WORKERS",)
PAGE = "demonstration.html"
READY_SECONDS = 300.0
PATIENCE_SECONDS = 30.0
LISTENING = re.compile(r"listening on (http://[\d.]+:\d+)")


class StageBroken(RuntimeError):
    """Something that the demonstration needs is not to be had; the message says what to do."""


@contextmanager
def fresh(home: Path) -> Iterator[Path]:
    """The folder `HOME/demo`, empty, and nobody else's until the block ends.

    Raises:
        StageBroken: another demonstration runs there, or the folder holds something else.
    """
    folder = home.resolve() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    elsewhere = "set NOCTURNE_HOME to another folder"
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left = list(folder.iterdir())
        if left and folder / PAGE not in left:
            raise StageBroken(
                f"{folder}: holds something that no demonstration left ({PAGE} is missing); "
                f"move it away, or {elsewhere}"
            )
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (folder / PAGE).write_text("The demonstration is under way.\n")
        yield folder
    except BlockingIOError:
        raise StageBroken(
            f"{folder}: another demonstration runs there; wait for its end, or {elsewhere}"
        ) from None
    finally:
        os.close(held)


def settings_of(folder: Path) -> Settings:
    """The places of a demonstration, whatever the user's environment says."""
    return Settings(home=folder, store="", mlflow_url="", prefect_url="")


@dataclass(frozen=True)
class Stage:
    """The command as a user has it, in a home of its own.

    Attributes:
        folder: Of everything that it leaves.
        variables: That its commands see beside the machine's own.
        hear: Told every line that a command says while it runs.
    """

    folder: Path
    variables: Mapping[str, str]
    hear: Callable[[str], None]

    def nocturne(self, *words: str) -> tuple[int, str]:
        """Run a verb to its end; its exit code, and what it answered."""
        answer = self.folder / "answer.txt"
        with answer.open("w") as out:
            process = self._begin(words, out, subprocess.PIPE)
        with process:
            try:
                for line in process.stderr or ():
                    self.hear(line.rstrip())
                code = process.wait()
            finally:
                end(process)
        return code, answer.read_text("utf-8")

    @contextmanager
    def serving(self, conf: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """`nocturne serve` on a free port of loopback until the block ends; yields its address.

        Raises:
            StageBroken: it does not listen.
        """
        log = self.folder / "server.log"
        with log.open("w") as out:
            words = ("serve", str(conf), "--host", "127.0.0.1", "--port", "0")
            process = self._begin(words, out, out)
        try:
            yield _address(process, log), process
        finally:
            end(process)

    def _begin(
        self, words: Sequence[str], out: IO[str], err: IO[str] | int
    ) -> subprocess.Popen[str]:
        """A verb on its way; on loopback the superuser may serve, as in a container."""
        kept = {k: v for k, v in os.environ.items() if k in KEPT or not k.startswith(FOREIGN)}
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "flows.cli", *words],
            env={**kept, "COLUMNS": "160", "NOCTURNE_SERVE_AS_ROOT": "1", **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = LISTENING.search(log.read_text("utf-8"))
        if found:
            return found[1]
        time.sleep(0.1)
    raise StageBroken(
        f"nocturne serve: does not listen after {READY_SECONDS:g} s, or ended "
        f"(exit code {process.poll()}); its log is {log}"
    )


def end(process: subprocess.Popen[Any]) -> int:
    """Ask a process to end, and all that it started if it does not; its exit code."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError):
            if signal_ == signal.SIGTERM:
                process.terminate()
            else:
                os.killpg(process.pid, signal_)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
    return process.wait()
