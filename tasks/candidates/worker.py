"""The process that candidates' processes are forked from; started by `tasks.candidates.parallel`.

It imports Keras once and forks a child for each job, so a child starts in a tenth of a second
where a fresh interpreter needs 6 to 7 CPU seconds for the import alone (measured: 60 children,
three at a time, under load, none hung). Forking is safe here because nothing has used
TensorFlow yet: its thread pools begin with the first operation, in the child, with the thread
counts of that job. Elsewhere than on Linux with the TensorFlow backend, or should a thread be
running, a job gets a fresh interpreter instead.

Standard input brings one job a line, or the name of one to end; standard output carries one JSON
object a line: log records, progress and values of the children, and how each ended. End of input,
which the death of the parent brings too, ends every child; the death of this process ends them
as well.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from infra import collecting
from tasks import progress
from tasks.candidates.job import Job

LINE = 4096  # bytes that a pipe takes in one piece, so that lines of children do not mix
PR_SET_PDEATHSIG = 1
IMPORT_SECONDS = 120  # of processor time; it takes 10


def main() -> None:
    """Start what is asked for on standard input and say how it ended, until input ends."""
    collecting.rarely()
    if sys.argv[1:2] == ["job"]:
        sys.exit(_perform(Job.model_validate_json(sys.argv[2])))
    if _may_fork():
        _import_in_time()
    running: dict[int, str] = {}
    pending = b""
    while True:
        if select.select([0], [], [], 0.05)[0]:
            received = os.read(0, 1 << 16)
            if not received:
                break
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                _obey(json.loads(line), running)
        _reap(running)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)  # nothing to save, and tearing TensorFlow down takes its time


def _obey(told: dict[str, Any], running: dict[int, str]) -> None:
    """Start a job, or end one; a child is waited for before its id can be another's."""
    if "end" not in told:
        job = Job.model_validate(told)
        running[_start(job)] = job.name
        return
    for pid in [pid for pid, name in running.items() if name == told["end"]]:
        os.kill(pid, signal.SIGKILL)


def _import_in_time() -> None:
    """Load Keras, or die of SIGPROF: with too little memory its libraries try again for ever.

    The time is the processor's, so that a busy machine is not a reason; no handler of ours is
    asked, because nothing of Python runs any more then.
    """
    signal.setitimer(signal.ITIMER_PROF, IMPORT_SECONDS)
    import tasks.candidates.run  # noqa: F401

    signal.setitimer(signal.ITIMER_PROF, 0)


def _may_fork() -> bool:
    """Whether a forked child is as good as a fresh one."""
    tensorflow = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
    return sys.platform == "linux" and tensorflow and threading.active_count() == 1


def _start(job: Job) -> int:
    """A process for the job; its id."""
    log = Path(job.out) / "log.txt"
    if not _may_fork():
        command = [sys.executable, "-m", __spec__.name, "job", job.model_dump_json()]
        with log.open("wb") as errors:
            return subprocess.Popen(  # noqa: S603 (this very file)
                command, stdin=subprocess.DEVNULL, stderr=errors
            ).pid
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    status = 1
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        status = _perform(job)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reap(running: dict[int, str]) -> None:
    """Say of every child that ended how it ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        say({"ended": running.pop(pid), "code": code})


def _perform(job: Job) -> int:
    """Run the job in this process; the exit code."""
    for pool in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[pool] = str(job.threads)
    logger = logging.getLogger("tasks")
    logger.setLevel(logging.WARNING if job.trial else logging.INFO)
    progress.values.setLevel(logging.INFO)
    logger.addHandler(_Relay())
    try:
        from tasks.candidates.run import run

        run(job)
    except Exception as error:
        traceback.print_exc()
        say({"failed": job.name, "reason": _reason(error)})
        return 1
    return 0


def _reason(error: Exception) -> str:
    """The first paragraph of what went wrong: ours speak for themselves, others with their type."""
    message = str(error).strip().split("\n\n")[0] or "no message"
    ours = type(error).__module__.startswith("tasks.")
    return message if ours else f"{type(error).__name__}: {message}"


class _Relay(logging.Handler):
    """Sends log records and progress to the parent."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line for each."""
        if record.name == "tasks.progress":
            names: tuple[str, ...] = ("subject", "done", "total", "note")
            say({"progress": [getattr(record, name) for name in names]})
        elif record.name == progress.values.name:
            names = ("subject", "step", "value")
            say({"value": [getattr(record, name) for name in names]})
        else:
            say({"log": record.getMessage(), "name": record.name, "level": record.levelno})


def say(message: dict[str, object]) -> None:
    """One line to the parent, cut so that it goes out in one piece."""
    for limit in (3000, 600):
        cut = {k: v[:limit] if isinstance(v, str) else v for k, v in message.items()}
        line = json.dumps(cut).encode() + b"\n"
        if len(line) <= LINE:
            break
    os.write(1, line)


if __name__ == "__main__":
    main()
