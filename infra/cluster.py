"""A Ray cluster, reached once a process; Ray is imported only where `NOCTURNE_RAY` asks for it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10
CLIENT_PORT = 10001
LOCAL_STORE_BYTES = 100_000_000  # little more than names and numbers pass through it
HERE = ("auto", "local")


class NoCluster(RuntimeError):
    """The cluster cannot be used; the message says why and what to do.

    Attributes:
        exit_code: Of a command that ends for it.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(f"NOCTURNE_RAY: {message}")
        self.exit_code = exit_code


def ray() -> Any:
    """The library.

    Raises:
        NoCluster: it is not installed.
    """
    try:
        import ray as library
    except ImportError:
        install = "pip install --constraint constraints.txt '.[ray]'"
        raise NoCluster(f"Ray is not installed; {install}, or unset it", 2) from None
    return library


def connect(address: str) -> None:
    """Become a client of a cluster; with `local` start one on this machine, until the process ends.

    Args:
        address: local, auto (the cluster that this machine is a node of), HOST:PORT of a head
            whose node this machine is, or ray://HOST:PORT of one from outside.

    Raises:
        NoCluster: the address is none, nothing answers there, or it does not take this client.
    """
    library = ray()
    _reachable(address)
    given: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        given = {"include_dashboard": False, "object_store_memory": LOCAL_STORE_BYTES}
    try:
        with _own_signals():
            library.init(address, log_to_driver=False, configure_logging=False, **given)
    except Exception as error:
        said = str(error).strip().split("\n")[0]
        raise NoCluster(f"{address}: {said}; `ray status` on its head says how it is") from None
    nodes = cores()
    logger.info("ray %s: %d nodes, %d cores", address, len(nodes), sum(nodes))


def cores() -> list[int]:
    """Those of each living node of the cluster that this process is connected to."""
    return [int(node["Resources"].get("CPU", 0)) for node in ray().nodes() if node["Alive"]]


def _reachable(address: str) -> None:
    """Ray itself takes three minutes to say that nothing listens."""
    if address in HERE:
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError:
        host, port, scheme = None, None, ""
    port = port or (CLIENT_PORT if scheme == "ray" else None)
    if not host or not port or scheme not in ("", "ray"):
        expected = "expected local, auto, HOST:PORT or ray://HOST:PORT"
        raise NoCluster(f"{address!r}: {expected}", 2)
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        said = error.strerror or str(error)
        here = "start it (`ray start --head`), or unset it to train on this machine"
        raise NoCluster(f"no cluster answers at {address} ({said}); {here}") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever heard it before does so again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
