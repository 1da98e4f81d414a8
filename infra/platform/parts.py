"""A part of the platform: one process and what it takes to run it."""

from __future__ import annotations

import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

PROBE_SECONDS = 5.0


def nothing() -> None:
    """What there is to do where there is nothing to do."""


class PortTaken(RuntimeError):
    """A port that a part needs belongs to somebody else; the message names port and setting."""

    exit_code = 2  # of the command line: bad usage


@dataclass(frozen=True)
class Part:
    """One process of the platform.

    Attributes:
        name: Short and unique; stands before its lines in the log.
        command: Its words; no secret is among them, because everybody can read them.
        environment: Variables on top of the supervisor's own.
        healthy: Whether it answers; called again and again, returns within seconds.
        needs: Parts that must be healthy before it starts.
        after: Parts that its first start waits for, though it can do without them.
        before: Done before each start; what it raises is told, and tried again later.
        ready: Done when it first answers, before it counts as healthy.
        ask: The signal that asks it to end.
        patience_seconds: From that signal to SIGKILL.
        spares: Its children may outlive its death, but not the platform's end.
        user: uid and gid to run as; None: the supervisor's.
        host: Where it listens; with `port`, to see before the start whether it can.
        port: None: it listens nowhere that is its own.
        setting: The variable that names the port.
        page: Where people look at it; empty: nowhere.
    """

    name: str
    command: tuple[str, ...]
    healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: Callable[[], None] = nothing
    ready: Callable[[], None] = nothing
    ask: signal.Signals = signal.SIGTERM
    patience_seconds: float = 20.0
    spares: bool = False
    user: tuple[int, int] | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    setting: str = ""
    page: str = ""


def answers(url: str, headers: Mapping[str, str] | None = None) -> Callable[[], bool]:
    """A check that asks an address and wants 200."""

    def healthy() -> bool:
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - ours
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer,  # noqa: S310 - ours
        ):
            return bool(answer.status == 200)
        return False

    return healthy


def polls(port: int, *, first_seconds: float = 2.0) -> Callable[[], bool]:
    """Whether Prefect's runner on a port of loopback goes on polling.

    It is asked only some time after its port opened: until it has polled once it has no answer.
    """
    opened: list[float] = []
    healthy = answers(f"http://127.0.0.1:{port}/health")

    def polling() -> bool:
        if not opened:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), PROBE_SECONDS):
                opened.append(time.monotonic())
        elif time.monotonic() - opened[0] > first_seconds:
            return healthy()
        return False

    return polling


def refuse_taken(part: Part) -> None:
    """See that nobody listens where a part is going to.

    Raises:
        PortTaken: somebody does, or the address is none of this machine.
    """
    if part.port is None:
        return
    family = socket.AF_INET6 if ":" in part.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((part.host, part.port))
        except OSError as error:
            raise PortTaken(
                f"port {part.port} on {part.host}, for {part.name}: {error.strerror}; end who "
                f"listens there, or set {part.setting} to a free port"
            ) from None


def free_port() -> int:
    """A port of loopback that nobody has now, for what only this machine's parts ask."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
