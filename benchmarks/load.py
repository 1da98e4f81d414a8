"""An HTTP client in a process of its own: connections that each ask at once again, or on time.

    python -m benchmarks.load PORT PATH BODIES CONNECTIONS SECONDS [RATE]

BODIES is a JSON list of request bodies. Without RATE the loop is closed. With it so many requests
a second fall due whatever becomes of the earlier ones, and a latency counts from that moment, so
that a server which stalls cannot hide the requests that would have come meanwhile. Prints one JSON
object: requests a second, percentiles of the latency in milliseconds, those of what was accepted
(200) and refused (503) apart, status codes, answers that never came, versions seen, CPU seconds of
the client itself. Plain sockets on asyncio, so that little of two cores goes to asking.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

VERSION = re.compile(rb"x-model-version: (\S+)", re.IGNORECASE)
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
CLOSING = re.compile(rb"connection: close", re.IGNORECASE)


class Load:
    """What all connections share."""

    def __init__(self, requests: list[bytes], began: float, ends: float, rate: float) -> None:
        self.requests = requests
        self.began = began
        self.ends = ends
        self.rate = rate
        self.sent = 0
        self.seconds: list[float] = []
        self.by_status: dict[int, list[float]] = {200: [], 503: []}
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self.lost = 0

    def next(self) -> bytes:
        """The next request."""
        return self.requests[self.sent % len(self.requests)]

    def due(self) -> float:
        """When the next request is to be sent: now, or as the rate says."""
        self.sent += 1
        return self.began + self.sent / self.rate if self.rate else time.perf_counter()


class Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self.load = load
        self.done = done
        self.buffer = b""
        self.needs = 0
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: ask."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send one request, once it is due."""
        due = self.load.due()
        wait = due - time.perf_counter()
        if wait <= 0:
            self.send(due)
        else:
            asyncio.get_running_loop().call_later(wait, self.send, due)

    def send(self, due: float) -> None:
        """Send it, unless time is up or the server has hung up meanwhile."""
        if due >= self.load.ends or self.transport.is_closing():
            self.transport.close()
            return
        self.began = due
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        """Take bytes until the answer is whole."""
        self.buffer = self.buffer + data if self.buffer else data
        if not self.needs:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = self.buffer[:end]
            self.needs = end + 4 + int(LENGTH.search(self.head)[1])
        if len(self.buffer) >= self.needs:
            self.answered()

    def answered(self) -> None:
        """Count the answer, and ask again unless time is up."""
        load = self.load
        spent, status = time.perf_counter() - self.began, int(self.head[9:12])
        load.seconds.append(spent)
        load.statuses[status] += 1
        load.by_status.setdefault(status, []).append(spent)
        version = VERSION.search(self.head)
        if version:
            load.versions[version[1].decode()] += 1
        self.buffer, self.needs, self.began = b"", 0, 0.0
        if time.perf_counter() >= load.ends or CLOSING.search(self.head):
            self.transport.close()
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Gone; an answer that was waited for is lost."""
        if self.began:
            self.load.lost += 1
        if not self.done.done():
            self.done.set_result(None)


def request_of(path: str, port: int, body: bytes) -> bytes:
    """The bytes of one request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(
    port: int, path: str, bodies: list[str], connections: int, seconds: float, rate: float
) -> Load:
    """Ask for so many seconds over so many connections; a connection that is closed opens again."""
    requests = [request_of(path, port, body.encode()) for body in bodies]
    now = time.perf_counter()
    load = Load(requests, now, now + seconds, rate)
    loop = asyncio.get_running_loop()

    async def one() -> None:
        while time.perf_counter() < load.ends:
            done: asyncio.Future[None] = loop.create_future()
            begin = partial(Connection, load, done)
            try:
                await loop.create_connection(begin, "127.0.0.1", port)
            except ConnectionRefusedError:
                return
            await done

    await asyncio.gather(*(one() for _ in range(connections)))
    return load


def told(load: Load, seconds: float) -> dict[str, object]:
    """What was found."""
    return {
        "requests": len(load.seconds),
        "requests_per_second": len(load.seconds) / seconds,
        **percentiles(load.seconds),
        "accepted": percentiles(load.by_status[200]),
        "refused": percentiles(load.by_status[503]),
        "statuses": dict(load.statuses),
        "versions": dict(load.versions),
        "lost": load.lost,
        "client_cpu_seconds": time.process_time(),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Of latencies, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    last = len(ordered) - 1
    return {name: 1000 * ordered[min(int(share * len(ordered)), last)] for name, share in SHARES}


SHARES = (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))


def main() -> None:
    """Ask, and print what was found."""
    port, path, bodies, connections, seconds, *rates = sys.argv[1:]
    rate = float(rates[0]) if rates else 0.0
    asked = json.loads(Path(bodies).read_text("utf-8"))
    began = time.perf_counter()
    load = asyncio.run(ask(int(port), path, asked, int(connections), float(seconds), rate))
    print(json.dumps(told(load, time.perf_counter() - began)))


if __name__ == "__main__":
    main()
