"""The canary: a challenger that waits for a person's word answers a share of live flights.

Only a *proposed* one, which passed its gates, ever answers anybody. Where it fails, the champion
answers instead, so that no client sees it; where it fails more often than the champion, or is much
slower, it stops by itself and the numbers are shown.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from serving.engine import Answers, Engine
from serving.protocol import Row

logger = logging.getLogger(__name__)

FAILURES = 3  # fewer are bad luck
WORSE_THAN_CHAMPION = 2.0
FLIGHTS = 50  # before latency is judged
RECENT = 201  # flights whose time counts
SLOWER_THAN_CHAMPION = 3.0


class Holding(Protocol):
    """What the canary needs of the slot."""

    live: Engine | None
    challenger: Engine | None
    proposed: bool


@dataclass
class Side:
    """What one of the two did so far.

    Attributes:
        version: The registered version.
        flights: It took.
        rows: In them.
        failures: Flights it could not answer.
        recent: Seconds a row of its last forward passes.
    """

    version: str
    flights: int = 0
    rows: int = 0
    failures: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT), repr=False)

    @property
    def seconds_a_row(self) -> float:
        """Median of the recent forward passes: one that the machine held up says nothing."""
        return median(self.recent) if self.recent else 0.0

    def told(self) -> dict[str, Any]:
        """As plain values, for people."""
        names = ("version", "flights", "rows", "failures", "seconds_a_row")
        return {name: getattr(self, name) for name in names}


@dataclass
class Trial:
    """One challenger beside one champion.

    Attributes:
        challenger: Answers its share.
        champion: Answers the rest.
        stopped: Why it ended; None while it goes on.
    """

    challenger: Side
    champion: Side
    stopped: str | None = None
    digests: tuple[str, str] = field(default=("", ""), repr=False)

    def judge(self) -> str | None:
        """Why the challenger must stop now; None while it may go on."""
        ours, theirs = self.challenger, self.champion
        if ours.failures >= FAILURES:
            rate, other = (side.failures / max(side.flights, 1) for side in (ours, theirs))
            if rate > WORSE_THAN_CHAMPION * other:
                return f"failed {ours.failures} of {ours.flights} flights, champion {other:.1%}"
        if min(ours.flights, theirs.flights) >= FLIGHTS:
            times = ours.seconds_a_row / max(theirs.seconds_a_row, 1e-9)
            if times > SLOWER_THAN_CHAMPION:
                return f"takes {times:.1f} times as long a row as the champion"
        return None


class Canary:
    """Chooses who answers a flight.

    Args:
        slot: Holds champion and challenger.
        share: Of flights that a proposed challenger answers.
    """

    def __init__(self, slot: Holding, share: float) -> None:
        self._slot = slot
        self._share = share
        self._random = random.Random()  # noqa: S311 - a sample, no secret
        self.trial: Trial | None = None

    def choose(self) -> Engine | Flight | None:
        """Who answers the next flight."""
        live, challenger = self._slot.live, self._slot.challenger
        if not self._share or live is None or challenger is None or not self._slot.proposed:
            return live
        trial = self._trial_of(challenger, live)
        if trial.stopped:
            return live
        if self._random.random() < self._share:
            return Flight(trial, trial.challenger, challenger, live)
        return Flight(trial, trial.champion, live, live)

    def told(self) -> dict[str, Any] | None:
        """The trial as plain values, for people."""
        if self.trial is None:
            return None
        trial = self.trial
        sides = {"challenger": trial.challenger.told(), "champion": trial.champion.told()}
        return {**sides, "stopped": trial.stopped}

    def _trial_of(self, challenger: Engine, champion: Engine) -> Trial:
        digests = (challenger.digest, champion.digest)
        if self.trial is None or self.trial.digests != digests:
            sides = Side(challenger.version), Side(champion.version)
            self.trial = Trial(*sides, digests=digests)
        return self.trial


@dataclass(frozen=True)
class Flight:
    """One flight of a trial, as the queue sees a version.

    Attributes:
        trial: It counts for.
        side: Whose it is.
        engine: Answers it.
        rescue: Answers it where that fails.
    """

    trial: Trial
    side: Side
    engine: Engine
    rescue: Engine

    def encode(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Nothing yet: both may have to encode them."""
        return rows

    def answer(self, rows: Sequence[Row]) -> Answers:
        """The answers of the engine, or of the champion in its place."""
        self.side.flights += 1
        self.side.rows += len(rows)
        try:
            answers = self._timed(rows)
        except Exception as error:
            if self.engine is self.rescue:
                raise
            self.side.failures += 1
            logger.warning("canary v%s: %s", self.side.version, error)
            answers = self.rescue.answer(self.rescue.encode(rows))
        self.trial.stopped = self.trial.stopped or self.trial.judge()
        if self.trial.stopped and self.engine is not self.rescue:
            logger.error("canary v%s stopped: %s", self.side.version, self.trial.stopped)
        return answers

    def _timed(self, rows: Sequence[Row]) -> Answers:
        encoded = self.engine.encode(rows)
        began = perf_counter()
        answers = self.engine.answer(encoded)
        self.side.recent.append((perf_counter() - began) / max(len(rows), 1))
        if not np.isfinite(answers.probabilities).all():
            raise ValueError("its answers are no numbers")
        return answers
