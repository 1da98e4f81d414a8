"""Clients of the scoring server: many at once, no ticket twice, every answer written down."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

import httpx

from tasks.datasets.synthetic import Ticket, tickets_of
from tasks.demonstration.story import Asked

CLIENTS = 12
PAUSE_SECONDS = 0.12  # between a client's requests, on average
MOST_TICKETS = 3  # of one request
PATIENCE_SECONDS = 30.0
FIRST_SEED, TICKETS_AT_ONCE = 1_000, 60.0


class Crowd:
    """Clients that ask from a thread of their own until they are told to stop.

    No request is sent twice: one that fails is a failure.

    Args:
        clock: Seconds of the story.
        day: Whose tickets they send first; set `day` to go on to another.
    """

    def __init__(self, clock: Callable[[], float], day: date) -> None:
        self.day = day
        self.asked: list[Asked] = []
        self._clock = clock
        self._streams: dict[date, Iterator[Ticket]] = {}
        self._stopping = threading.Event()
        self._known: Counter[date] = Counter()
        self._thread: threading.Thread | None = None

    def start(self, url: str) -> None:
        """Begin to ask the server at an address."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all(url)), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, once every request that is under way has its answer."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(2 * PATIENCE_SECONDS)

    def rows_of(self, day: date) -> int:
        """Tickets of a day that were answered, as far as their topic is known."""
        return self._known[day]

    async def _all(self, url: str) -> None:
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        async with httpx.AsyncClient(
            base_url=url, timeout=PATIENCE_SECONDS, limits=limits, trust_env=False
        ) as http:
            await asyncio.gather(*(self._client(http, number) for number in range(CLIENTS)))

    async def _client(self, http: httpx.AsyncClient, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - a pace, no secret
        while not self._stopping.is_set():
            await asyncio.sleep(chance.expovariate(1 / PAUSE_SECONDS))
            day = self.day
            stream = self._streams.setdefault(day, tickets(day))
            batch = [next(stream) for _ in range(chance.randint(1, MOST_TICKETS))]
            answered = await self._ask(http, day, batch)
            self.asked.append(answered)
            self._known[day] += answered.known

    async def _ask(self, http: httpx.AsyncClient, day: date, batch: list[Ticket]) -> Asked:
        records = [{"text": ticket.text} for ticket in batch]
        began, clock = self._clock(), time.perf_counter()
        try:
            answer = await http.post(
                "/invocations",
                json={"dataframe_records": records},
                headers={"X-Logical-Date": day.isoformat()},
            )
            answer.raise_for_status()
            told = answer.json()
            labels = [one["label"] for one in told["predictions"]]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
            return Asked(began, time.perf_counter() - clock, day, None, failure=why)
        seconds = time.perf_counter() - clock
        pairs = zip(batch, labels, strict=True)
        known = [ticket.topic == label for ticket, label in pairs if ticket.topic]
        return Asked(began, seconds, day, told["model_version"], len(known), sum(known))


def tickets(day: date) -> Iterator[Ticket]:
    """Tickets of a day without end; other ones than the ticket system's, in the same language."""
    seed = FIRST_SEED
    while True:
        yield from (one for one in tickets_of(day, seed, TICKETS_AT_ONCE) if one.text)
        seed += 1
