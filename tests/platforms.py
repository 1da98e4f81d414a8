"""A whole platform by `nocturne up`, on ports of its own, ended by its process id."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from infra.platform import processes
from infra.platform.postgres import NoCluster, installed
from tests.command_line import Home, home_in
from tests.servers import free_port

PASSWORD = "canary-password-of-up"
PORTS = ("UP_PORT", "UP_PREFECT_PORT", "UP_MLFLOW_PORT", "UP_DATABASE_PORT", "SERVE_PORT")


def needs_postgresql():
    """Skip where none can be run."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed (extra `servers`)")
    try:
        installed()
    except NoCluster as error:
        pytest.skip(str(error))


@contextmanager
def home_for_all(**variables):
    """A home that a PostgreSQL under another user reaches, with free ports in its variables."""
    folder = Path(tempfile.mkdtemp(prefix="nocturne-up-"))
    folder.chmod(0o711)  # a test that runs as root lets the user postgres through
    ports = {f"NOCTURNE_{name}": str(free_port()) for name in PORTS}
    home = home_in(folder, **ports, NOCTURNE_SERVE_AS_ROOT="1", **variables)
    try:
        yield home
    finally:
        for process in processes.marked((folder / ".nocturne").resolve()):
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Up:
    """One `nocturne up`, and what it said once everything answered."""

    home: Home
    process: subprocess.Popen
    facts: dict
    log: Path

    def url(self, name):
        return {"mlflow": self.facts["mlflow"], "prefect": self.facts["prefect"]}[name]

    def pid(self, part):
        return next(p["pid"] for p in self.parts() if p["name"] == part)

    def parts(self):
        return [
            {"name": left.name, "pid": left.pid}
            for left in processes.recorded(self.home.path / ".nocturne" / "up" / "parts.json")
        ]

    def marked(self):
        return processes.marked((self.home.path / ".nocturne").resolve())

    def end(self, ask=signal.SIGTERM):
        """Ask it to end; its exit code."""
        self.process.send_signal(ask)
        return self.process.wait(180)


@contextmanager
def up(home, *arguments, before=(), patience_seconds=400):
    """Run it until the block ends, with words before it; yields once everything answers."""
    log = home.path / f"up-{time.monotonic_ns()}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "flows.cli", "up", "--json", *arguments],
            cwd=home.path,
            env=home.environment,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    os.set_blocking(process.stdout.fileno(), False)
    running = Up(home, process, {}, log)
    try:
        yield replace(running, facts=_document(running, patience_seconds))
    finally:
        if process.poll() is None:
            running.end()
        process.stdout.close()


def _document(running, patience_seconds):
    said, deadline = b"", time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        said += running.process.stdout.read() or b""
        if said.endswith(b"\n}\n"):
            return json.loads(said)
        assert running.process.poll() is None, said.decode() + running.log.read_text()[-4000:]
        time.sleep(0.1)
    raise AssertionError(running.log.read_text()[-4000:])


def until(true, patience_seconds=120):
    deadline = time.monotonic() + patience_seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def cpu_seconds(processes_):
    """What living processes have used so far."""
    return sum(sum(p.cpu_times()[:2]) for p in processes_ if psutil.pid_exists(p.pid))
