"""Adaptive micro-batching: whatever is queued goes together, and a lone request never waits.

One flight is in the air at a time. While it runs, requests gather; when it lands, all of them
leave with the next one. So batches grow with the load and by nothing else. A flight asks for the
live version once, so that a swap falls between two flights and no flight mixes versions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from serving.engine import Answers
from serving.limits import (
    DEADLINE_SECONDS,
    QUEUE_REQUESTS,
    DeadlinePassed,
    Overloaded,
    Refusal,
)
from serving.protocol import Row

logger = logging.getLogger(__name__)

FLIGHT_ROWS = 256
QUEUE_ROWS = 4096
SHORT = 30_000  # characters or steps of a flight that the loop itself encodes


class Answering(Protocol):
    """What a flight needs of a version."""

    def encode(self, rows: Sequence[Row]) -> Any:
        """Rows as the model takes them."""
        ...

    def answer(self, encoded: Any) -> Answers:
        """The forward pass."""
        ...


@dataclass(eq=False)
class Waiting:
    """One request in the queue."""

    rows: list[Row]
    future: asyncio.Future[Answers]
    timer: asyncio.TimerHandle


class Batcher:
    """The queue before the engine.

    Args:
        engine: The live version; asked once a flight. None: nothing is live.
        landed: Told the rows and the engine's seconds of each flight.
        queue: Requests that may wait.
        deadline_seconds: From arrival to answer.
    """

    def __init__(
        self,
        engine: Callable[[], Answering | None],
        *,
        landed: Callable[[int, float], None] = lambda _rows, _seconds: None,
        queue: int = QUEUE_REQUESTS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._engine = engine
        self._landed = landed
        self._most = queue
        self._deadline = deadline_seconds
        self._queue: deque[Waiting] = deque()
        self._rows = 0
        self._flying = False
        self._thread = ThreadPoolExecutor(1, "engine")

    def __len__(self) -> int:
        return len(self._queue)

    async def answer(self, rows: list[Row]) -> Answers:
        """The answers to one request's rows.

        Raises:
            Overloaded: the queue is full.
            DeadlinePassed: it waited too long.
            Refusal: a row cannot be encoded, or nothing is live.
        """
        if len(self._queue) >= self._most or self._rows > QUEUE_ROWS:
            raise Overloaded(len(self._queue))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answers] = loop.create_future()
        waiting = Waiting(rows, future, loop.call_later(self._deadline, _too_late, future))
        self._queue.append(waiting)
        self._rows += len(rows)
        if not self._flying:
            self._flying = True
            loop.call_soon(self._take_off)  # whoever arrives in this turn of the loop comes along
        try:
            return await future
        finally:
            waiting.timer.cancel()

    def close(self) -> None:
        """Let the thread end once its flight has landed."""
        self._thread.shutdown(wait=False)

    def _take_off(self) -> None:
        aboard = self._board()
        if not aboard:
            self._flying = False
            return
        loop = asyncio.get_running_loop()
        engine = self._engine()
        if engine is None:
            self._land(aboard, [Refusal(503, "no version is live yet; ask again")] * len(aboard))
            return
        requests = [each.rows for each in aboard]
        encoded = _encoded_here(engine, requests)
        flight = loop.run_in_executor(self._thread, _fly, engine, requests, encoded)
        flight.add_done_callback(lambda done: self._arrived(aboard, done, loop.time() - began))
        began = loop.time()

    def _board(self) -> list[Waiting]:
        """The requests that leave together; those that nobody waits for stay behind."""
        aboard: list[Waiting] = []
        rows = 0
        while self._queue:
            if aboard and rows + len(self._queue[0].rows) > FLIGHT_ROWS:
                break
            waiting = self._queue.popleft()
            self._rows -= len(waiting.rows)
            if not waiting.future.done():
                aboard.append(waiting)
                rows += len(waiting.rows)
        return aboard

    def _arrived(
        self,
        aboard: list[Waiting],
        done: asyncio.Future[list[Answers | Exception]],
        seconds: float,
    ) -> None:
        error = done.exception()
        results = [error] * len(aboard) if isinstance(error, Exception) else done.result()
        self._landed(sum(len(each.rows) for each in aboard), seconds)
        self._land(aboard, results)

    def _land(self, aboard: list[Waiting], results: Sequence[Answers | Exception]) -> None:
        for waiting, result in zip(aboard, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)
        self._take_off()


def _encoded_here(engine: Answering, requests: list[list[Row]]) -> Any:
    """The rows encoded on the loop's own thread, or None where that would take it too long.

    Encoding is many short calls; on another thread each would wait for its turn in the
    interpreter, which costs more than the encoding.
    """
    rows = [row for rows in requests for row in rows]
    if sum(map(len, rows)) > SHORT:
        return None
    try:
        return engine.encode(rows)
    except ValueError:  # told apart, request by request, in the flight
        return None


def _fly(
    engine: Answering, requests: list[list[Row]], encoded: Any = None
) -> list[Answers | Exception]:
    """Answer the rows of several requests; one that cannot be answered costs the others nothing."""
    try:
        if encoded is None:
            encoded = engine.encode([row for rows in requests for row in rows])
        answers = engine.answer(encoded)
        return list(_divided(answers, [len(rows) for rows in requests]))
    except Exception as error:
        if len(requests) > 1:
            return [one for rows in requests for one in _fly(engine, [rows])]
        if isinstance(error, ValueError):
            return [Refusal(422, str(error)[:300])]
        logger.exception("a request could not be answered")
        return [error]


def _divided(answers: Answers, sizes: list[int]) -> list[Answers]:
    if len(sizes) == 1:
        return [answers]
    ends = np.cumsum([0, *sizes]).tolist()
    return [
        Answers(answers.engine, answers.probabilities[start:end], answers.inputs, start)
        for start, end in pairwise(ends)
    ]


def _too_late(future: asyncio.Future[Answers]) -> None:
    if not future.done():
        future.set_exception(DeadlinePassed())
