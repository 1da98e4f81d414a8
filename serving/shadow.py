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
TIMED_EVERY = 4  # of the challenger's batches, the champion answers one again to be timed
NICE = 10


@dataclass
class Tally:
    """What one challenger said beside one champion.

    Attributes:
        rows: Rows both answered.
        agreed: Of those, same label.
        failed: Rows that the challenger left without a finite answer.
        distance: Sum of the total variation between the two answers.
        challenger: Sum of its probabilities, a class each.
        champion: Sum of the champion's, where both know the class.
        milliseconds: Of the last batches, a row.
        champion_milliseconds: The champion's for some of these batches, on the same thread.
        error: Why the challenger could not be loaded; empty where it could.
    """

    version: str
    digest: str
    champion_version: str
    champion_digest: str
    classes: tuple[str, ...]
    since: str
    rows: int = 0
    agreed: int = 0
    failed: int = 0
    error: str = ""
    distance: float = 0.0
    challenger: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    champion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    milliseconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    champion_milliseconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    @property
    def empty(self) -> bool:
        """Nothing was found yet."""
        return not (self.rows or self.failed or self.error)

    def add(self, ours: NDArray[Any], theirs: NDArray[Any], seconds: float) -> None:
        """Answers of challenger and champion to the same rows, `(rows, classes)` each."""
        self.milliseconds.append(1000 * seconds / len(ours))
        finite = np.isfinite(ours).all(axis=1)
        self.failed += int((~finite).sum())
        ours, theirs = ours[finite], theirs[finite]
        if not self.rows:
            self.challenger = np.zeros(len(self.classes))
            self.champion = np.zeros(len(self.classes))
        self.rows += len(ours)
        self.agreed += int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        self.distance += float(np.abs(ours - theirs).sum() / 2)
        self.challenger += ours.sum(axis=0)
        self.champion += theirs.sum(axis=0)

    def time_champion(self, seconds: float, rows: int) -> None:
        """The champion's time for a batch that the challenger answered."""
        self.champion_milliseconds.append(1000 * seconds / rows)

    def to_json(self) -> dict[str, Any]:
        """The findings, as the gate reads them."""
        rows = max(self.rows, 1)
        moved = self.challenger - self.champion if self.rows else np.zeros(len(self.classes))
        shares = zip(self.classes, moved, strict=True)
        return {
            "version": self.version,
            "digest": self.digest,
            "champion": {"version": self.champion_version, "digest": self.champion_digest},
            "since": self.since,
            "until": _now(),
            "rows": self.rows,
            "failed": self.failed,
            "error": self.error,
            "agreement": self.agreed / rows if self.rows else 1.0,
            "total_variation": self.distance / rows,
            "score_shift": {name: float(shift / rows) for name, shift in shares},
            "milliseconds_a_row": _percentiles(self.milliseconds),
            "champion_milliseconds_a_row": _percentiles(self.champion_milliseconds),
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
        self._batches = 0
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
            self._note_refused()
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
        rows = [row for row, _, _ in batch]
        try:
            answers, seconds = await loop.run_in_executor(self._thread, _timed, challenger, rows)
        except Exception as error:
            logger.warning("shadow v%s: %s", challenger.version, error)
            self._tally_of(challenger, champion).failed += len(rows)
            return
        theirs = np.stack([probabilities for _, probabilities, _ in batch])
        self._count(challenger, champion, answers.probabilities, theirs, seconds)
        self._batches += 1
        if self._batches % TIMED_EVERY == 1:
            _, spent = await loop.run_in_executor(self._thread, _timed, champion, rows)
            self._tally_of(challenger, champion).time_champion(spent, len(rows))

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
        before, answered = tally.agreed, tally.rows
        tally.add(_spread(ours, challenger, union), _spread(theirs, champion, union), seconds)
        metrics, version = self._metrics, challenger.version
        metrics.shadow_rows.labels(version).inc(tally.rows - answered)
        metrics.shadow_agreed.labels(version).inc(tally.agreed - before)
        metrics.shadow_shift.labels(version).set(tally.distance / max(tally.rows, 1))
        metrics.shadow_seconds.labels(version).inc(seconds)

    def _tally_of(self, challenger: Engine, champion: Engine) -> Tally:
        pair = (challenger.digest, champion.digest)
        if self.tally is None or (self.tally.digest, self.tally.champion_digest) != pair:
            union = tuple(dict.fromkeys((*champion.classes, *challenger.classes)))
            names = (challenger.version, challenger.digest, champion.version, champion.digest)
            self.tally = Tally(*names, union, _now())
        return self.tally

    def _note_refused(self) -> None:
        """A challenger that could not even be loaded here, for the gate to see."""
        live, refused = self._slot.live, self._slot.unshadowed
        if live is None or refused is None:
            return
        wanted, why = refused
        if self.tally is None or self.tally.digest != wanted.digest:
            names = (wanted.version, wanted.digest, live.version, live.digest)
            self.tally = Tally(*names, live.classes, _now(), error=why)

    async def report(self) -> None:
        """Write the findings where a gate can read them."""
        if self.tally is None or self.tally.empty:
            return
        found = self.tally.to_json()
        try:
            await asyncio.to_thread(shadow_findings.write, self._store, self._pipeline, found)
        except Exception as error:
            logger.warning("what the shadow found is not written: %s", error)


def _timed(engine: Engine, rows: list[Row]) -> tuple[Answers, float]:
    """A version's answers, and the seconds they took."""
    began = time.perf_counter()
    answers = engine.answer(engine.encode(rows))
    return answers, time.perf_counter() - began


def _percentiles(milliseconds: deque[float]) -> dict[str, float]:
    p50, p99 = np.percentile(list(milliseconds) or [0.0], [50, 99])
    return {"p50": float(p50), "p99": float(p99)}


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
