"""uvicorn, made patient at its end and impatient with slow clients.

Asked to end, it goes on answering: readiness says no, each answer carries `Connection: close`, and
it stops once no connection is left, or after `DRAIN_SECONDS`. So a client that keeps its
connection alive is told before it is cut off, and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.limits import DRAIN_SECONDS, HEADER_BYTES, READ_SECONDS

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0  # what is quiet for so long while draining is closed
LISTEN_SECONDS = 5.0  # for clients that have not heard yet that this server ends
QUIET_SECONDS = 1.0  # no connection for so long: nobody is on the way any more
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
NO_MORE = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + NO_MORE
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large" + NO_MORE


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the time and the size of what comes before a body."""

    last_byte = 0.0
    _timer: asyncio.TimerHandle | None = None
    _before_body = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request only so long."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.last_byte = self.loop.time()
        self._timer = self.loop.call_later(READ_SECONDS, self._end, TOO_SLOW)

    def on_message_begin(self) -> None:
        """A request begins; its head must come soon."""
        super().on_message_begin()
        self._before_body = 0
        if self._timer is None:
            self._timer = self.loop.call_later(READ_SECONDS, self._end, TOO_SLOW)

    def data_received(self, data: bytes) -> None:
        """Take bytes, but no endless head."""
        self.last_byte = self.loop.time()
        super().data_received(data)
        if self._timer is not None:
            self._before_body += len(data)
            if self._before_body > HEADER_BYTES:
                self._end(TOO_LONG)

    def on_headers_complete(self) -> None:
        """The head is here; the application looks after the body."""
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def close_if_idle(self) -> None:
        """Leave a client that keeps its connection for nothing."""
        asked = self.cycle is not None and not self.cycle.response_complete
        if not asked and self.loop.time() - self.last_byte > IDLE_SECONDS:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, told: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(told)
            self.transport.close()


class Server(uvicorn.Server):
    """A server that drains before it ends.

    Args:
        app: The ASGI application.
        drain: Called when it is asked to end, so that readiness says no.
    """

    def __init__(self, app: Any, drain: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self._drain = drain
        self._asked: float | None = None
        self._busy = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn calls it so
        """Begin to drain; asked again, end at once."""
        if self._asked is not None:
            self.should_exit = True
            return
        logger.info("draining: asked to end by signal %d", sig)
        self._asked = self._busy = time.monotonic()
        self._drain()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is everybody gone?"""
        if self._asked is not None:
            now = time.monotonic()
            if self.server_state.connections:
                self._busy = now
                for connection in list(self.server_state.connections):
                    connection.close_if_idle()  # type: ignore[union-attr]
            if now - self._asked >= LISTEN_SECONDS:
                for listener in self.servers:
                    listener.close()
            quiet = now - self._busy >= QUIET_SECONDS
            self.should_exit = self.should_exit or quiet or now - self._asked >= DRAIN_SECONDS
        return await super().on_tick(counter)


def bound(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket that listens where it is asked to.

    Args:
        host: Address.
        port: 0 for any free one.
        shared: Whether several processes listen there.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the socket says that it is TCP
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind((host.strip("[]"), port))
    found.settimeout(0)
    return found
