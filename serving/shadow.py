"""The shadow: the challenger in Staging answers a sample of live rows, and nobody waits for it.

It runs on a thread of lower priority over a bounded queue; what does not fit is dropped. What it
found, against the champion's answers to the same rows, is on `/metrics` and, as one small JSON
object, under `shadow/PIPELINE/VERSION.json` in the store, where a gate can read it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.storage import Storage
from serving.engine import Answers, Engine
from serving.metrics import Metrics
from serving.protocol import Row
from serving.slot import Slot
from tasks import shadow_findings

logger = logging.getLogger(__name__)

WAITING_ROWS = 256
BATCH_ROWS = 32
PAUSE_SECONDS = 0.2
REPORT_SECONDS = 60.0
LATENCIES = 1_000
NICE = 10


@dataclass
class Tally:
    """What one challenger said beside one champion.

    Attributes:
        rows: Rows both answered.
        agreed: Of those, same label.
        distance: Sum of the total variation between the two answers.
        challenger: Sum of its probabilities, a class each.
        champion: Sum of the champion's, where both know the class.
        milliseconds: Of the last batches, a row.
    """

    version: str
    digest: str
    champion_version: str
    champion_digest: str
    classes: tuple[str, ...]
    since: str
    rows: int = 0
    agreed: int = 0
    distance: float = 0.0
    challenger: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    champion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    milliseconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def add(self, ours: NDArray[Any], theirs: NDArray[Any], seconds: float) -> None:
        """Answers of challenger and champion to the same rows, `(rows, classes)` each."""
        if not self.rows:
            self.challenger = np.zeros(len(self.classes))
            self.champion = np.zeros(len(self.classes))
        self.rows += len(ours)
        self.agreed += int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        self.distance += float(np.abs(ours - theirs).sum() / 2)
        self.challenger += ours.sum(axis=0)
        self.champion += theirs.sum(axis=0)
        self.milliseconds.append(1000 * seconds / len(ours))

    def to_json(self) -> dict[str, Any]:
        """The findings, as the gate reads them."""
        rows = max(self.rows, 1)
        p50, p99 = np.percentile(list(self.milliseconds) or [0.0], [50, 99])
        shares = zip(self.classes, self.challenger - self.champion, strict=True)
        return {
            "version": self.version,
            "digest": self.digest,
            "champion": {"version": self.champion_version, "digest": self.champion_digest},
            "since": self.since,
            "until": _now(),
            "rows": self.rows,
            "agreement": self.agreed / rows,
            "total_variation": self.distance / rows,
            "score_shift": {name: float(shift / rows) for name, shift in shares},
            "milliseconds_a_row": {"p50": float(p50), "p99": float(p99)},
        }


class Shadow:
    """Lets the slot's challenger answer a sample of what the champion answered.

    Args:
        pipeline: Its name.
        slot: Holds both.
        store: Where the findings go.
        share: Of live rows.
        metrics: Told what was found.
    """

    def __init__(
        self, pipeline: str, slot: Slot, store: Storage, share: float, metrics: Metrics
    ) -> None:
        self._pipeline = pipeline
        self._slot = slot
        self._store = store
        self._share = share
        self._metrics = metrics
        self._queue: deque[tuple[Row, NDArray[np.float32], Engine]] = deque(maxlen=WAITING_ROWS)
        self._random = random.Random()  # noqa: S311 - a sample, no secret
        self._thread = ThreadPoolExecutor(1, "shadow", initializer=_step_back)
        self.tally: Tally | None = None

    def offer(self, rows: Sequence[Row], answers: Answers) -> None:
        """Maybe let the challenger answer some of these rows, later."""
        if self._slot.challenger is None:
            return
        for row, probabilities in zip(rows, answers.probabilities, strict=True):
            if self._random.random() < self._share:
                self._queue.append((row, probabilities, answers.engine))

    async def run(self) -> None:
        """Answer and report for ever."""
        reported = time.monotonic()
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.answer_some()
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                await self.report()

    async def answer_some(self) -> None:
        """One batch of what waits; an answer that fails is the challenger's fault alone."""
        challenger = self._slot.challenger
        if challenger is None or not self._queue:
            self._queue.clear()
            return
        champion = self._queue[0][2]
        batch: list[tuple[Row, NDArray[np.float32], Engine]] = []
        while self._queue and len(batch) < BATCH_ROWS and self._queue[0][2] is champion:
            batch.append(self._queue.popleft())
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            rows = [row for row, _, _ in batch]
            answers = await loop.run_in_executor(self._thread, _answered, challenger, rows)
        except Exception as error:
            logger.warning("shadow v%s: %s", challenger.version, error)
            return
        seconds = time.perf_counter() - began
        theirs = np.stack([probabilities for _, probabilities, _ in batch])
        self._count(challenger, champion, answers.probabilities, theirs, seconds)

    def _count(
        self,
        challenger: Engine,
        champion: Engine,
        ours: NDArray[np.float32],
        theirs: NDArray[np.float32],
        seconds: float,
    ) -> None:
        tally = self._tally_of(challenger, champion)
        union = tally.classes
        before = tally.agreed
        tally.add(_spread(ours, challenger, union), _spread(theirs, champion, union), seconds)
        metrics, version = self._metrics, challenger.version
        metrics.shadow_rows.labels(version).inc(len(ours))
        metrics.shadow_agreed.labels(version).inc(tally.agreed - before)
        metrics.shadow_shift.labels(version).set(tally.distance / tally.rows)
        metrics.shadow_seconds.labels(version).inc(seconds)

    def _tally_of(self, challenger: Engine, champion: Engine) -> Tally:
        pair = (challenger.digest, champion.digest)
        if self.tally is None or (self.tally.digest, self.tally.champion_digest) != pair:
            union = tuple(dict.fromkeys((*champion.classes, *challenger.classes)))
            names = (challenger.version, challenger.digest, champion.version, champion.digest)
            self.tally = Tally(*names, union, _now())
        return self.tally

    async def report(self) -> None:
        """Write the findings where a gate can read them."""
        if self.tally is None or not self.tally.rows:
            return
        found = self.tally.to_json()
        try:
            await asyncio.to_thread(shadow_findings.write, self._store, self._pipeline, found)
        except Exception as error:
            logger.warning("what the shadow found is not written: %s", error)


def _answered(challenger: Engine, rows: list[Row]) -> Answers:
    return challenger.answer(challenger.encode(rows))


def _spread(
    answers: NDArray[np.float32], engine: Engine, union: tuple[str, ...]
) -> NDArray[np.float64]:
    """Answers over the classes of both; 0 for a class that this one does not know."""
    spread = np.zeros((len(answers), len(union)))
    spread[:, [union.index(name) for name in engine.classes]] = answers
    return spread


def _step_back() -> None:
    """This thread runs when the others have nothing to do."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
