"""A real Ray cluster on this machine: one node, several processes, on loopback alone."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.command_line import ROOT
from tests.servers import free_port

UP_SECONDS = 300


@contextmanager
def ray_cluster(cores=2):
    """Environment of its clients: `NOCTURNE_RAY`, and the token it asks for."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # its sockets need short names
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    port, outside = free_port(), free_port()
    clients = {
        "NOCTURNE_RAY": f"127.0.0.1:{port}",
        "OUTSIDE": f"ray://127.0.0.1:{outside}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        # Ray on Linux takes the machine's address for loopback's otherwise, and listens to all
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # as others here, and not 15 more
        "RAY_gcs_server_port_wait_time_s": "120",  # a busy machine is slow
    }
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    start += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cores}"]
    start += [f"--ray-client-server-port={outside}", "--include-dashboard=false"]
    start += [f"--temp-dir={folder}", "--object-store-memory=80000000", "--disable-usage-stats"]
    log = folder / "start.log"
    with log.open("wb") as said:
        head = subprocess.Popen(
            start, stdout=said, stderr=said, env={**os.environ, **clients}, start_new_session=True
        )
    try:
        _wait_for(head, log)
        yield clients
    finally:
        _end(head, clients)
        shutil.rmtree(folder, ignore_errors=True)


def _end(head, clients):
    """With all it started, whichever of them took the signal for themselves."""
    family = members(clients)
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(timeout=60)
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        head.wait()


def members(clients):
    """Processes of a cluster, known by the token that they were started with."""
    return [process for process in psutil.process_iter() if _knows(clients, process)]


def _knows(clients, process):
    name = "RAY_AUTH_TOKEN_PATH"
    with suppress(psutil.Error):
        return process.environ().get(name) == clients[name]


def _wait_for(head, log):
    deadline = time.monotonic() + UP_SECONDS
    while "Ray runtime started" not in log.read_text():
        assert head.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
