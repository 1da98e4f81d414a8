"""Reading while the model computes, and computing on every core, always in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_END = object()


class Ahead(Generic[Item]):
    """The items of an iterator in order, at most `most` of them made before they are asked for.

    Use it as a context: leaving it ends the thread, also half-way. What the iterator raises is
    raised where its item would have come.

    Args:
        items: Used by the thread only.
        most: Items that wait, so that memory is bounded.
    """

    def __init__(self, items: Iterator[Item], most: int = 2) -> None:
        self._items = items
        self._waiting: queue.Queue[object] = queue.Queue(most)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="reading ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_END)
        except BaseException as error:  # handed to whoever waits for the next item
            self._put(error)

    def _put(self, item: object) -> bool:
        while not self._left.is_set():
            try:
                self._waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _taken(self) -> Iterator[Item]:
        while (item := self._waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]


def in_order(
    function: Callable[[Item], Answer], items: Iterator[Item], workers: int
) -> Iterator[tuple[Item, Answer]]:
    """Each item with the function's answer, in the order of the items.

    Args:
        function: Called in so many threads at once.
        items: Taken only as far ahead as there are workers, so that memory is bounded.
        workers: Threads.
    """
    waiting: deque[tuple[Item, Future[Answer]]] = deque()
    with ThreadPoolExecutor(workers, "scoring") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
