"""A real Ray cluster on this machine: one node, or two in a network that they have alone."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.command_line import ROOT
from tests.platforms import until
from tests.servers import free_port

UP_SECONDS = 300


@contextmanager
def ray_cluster(cores=2):
    """Environment of its clients: `NOCTURNE_RAY`, and the token it asks for."""
    outside = free_port()
    with _cluster(f"127.0.0.1:{free_port()}") as (folder, clients):
        clients["OUTSIDE"] = f"ray://127.0.0.1:{outside}"
        # Ray on Linux takes the machine's address for loopback's otherwise, and listens to all
        clients["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        with _head(folder, clients, cores, f"--ray-client-server-port={outside}"):
            until(lambda: _listens(outside))  # later than the rest of it
            yield clients


def _listens(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class TwoNodes:
    """A head and a second node of one core each.

    Attributes:
        clients: Environment of who asks them.
        within: Words before a command that runs in their network.
        second: The process that is the second node.
    """

    clients: dict
    within: list
    second: psutil.Process

    def lose_second(self):
        """As if its machine had lost its power: nobody there says a last word."""
        for process in [*self.second.children(recursive=True), self.second]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def two_nodes():
    """A cluster whose nodes have an address each; other machines' Ray cannot be met in there.

    Nodes that are to find each other listen to every address of their network.
    """
    with _network() as within, _cluster(f"127.0.0.2:{free_port()}") as (folder, clients):
        joins = ["--node-ip-address=127.0.0.3", f"--address={clients['NOCTURNE_RAY']}"]
        with (
            _head(folder, clients, 1, within=within),
            _node(folder / "second.log", clients, 1, *joins, within=within) as second,
        ):
            yield TwoNodes(clients, within, psutil.Process(second.pid))


@contextmanager
def _network():
    """Words that let a command run in a network of nothing but loopback."""
    ready = "ip link set lo up && echo ready && exec sleep infinity"
    words = ["unshare", "--net", "sh", "-c", ready]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "ready\n"
            yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        finally:
            holder.kill()


@contextmanager
def _cluster(address):
    """Its folder and the environment of its clients; in the end none of its processes is left."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # its sockets need short names
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    clients = {
        "NOCTURNE_RAY": address,
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # as others here, and not 15 more
        "RAY_gcs_server_port_wait_time_s": "120",  # a busy machine is slow
    }
    try:
        yield folder, clients
    finally:
        for process in members(clients):  # whichever took a signal for themselves
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _head(folder, clients, cores, *more, within=()):
    host, _, port = clients["NOCTURNE_RAY"].partition(":")
    words = ["--head", f"--node-ip-address={host}", f"--port={port}", f"--temp-dir={folder}"]
    words += ["--include-dashboard=false", *more]
    return _node(folder / "head.log", clients, cores, *words, within=within)


@contextmanager
def _node(log, clients, cores, *more, within=()):
    start = [*within, sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    start += [f"--num-cpus={cores}", "--object-store-memory=80000000", "--disable-usage-stats"]
    with log.open("wb") as said:
        node = subprocess.Popen(
            [*start, *more],
            stdout=said,
            stderr=said,
            env={**os.environ, **clients},
            start_new_session=True,
        )
    try:
        _wait_for(node, log)
        yield node
    finally:
        node.terminate()
        try:
            node.wait(timeout=60)
        finally:
            node.kill()
            node.wait()


def members(clients):
    """Processes of a cluster, known by the token that they were started with."""
    return [process for process in psutil.process_iter() if _knows(clients, process)]


def _knows(clients, process):
    name = "RAY_AUTH_TOKEN_PATH"
    with suppress(psutil.Error):
        return process.environ().get(name) == clients[name]


def _wait_for(node, log):
    deadline = time.monotonic() + UP_SECONDS
    while "Ray runtime started" not in log.read_text():
        assert node.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
