"""What gates judge by: the models' answers to the same test rows, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_registry import statistics
from model_registry.errors import GateError
from model_registry.proportions import Pairs
from model_registry.spending import Wear

Probabilities = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Measures:
    """What was measured of one model beside its answers; None where it was not.

    Attributes:
        test_digest: sha256 of the rows it was scored on.
        ece: Expected calibration error on them.
        latency_milliseconds: One raw row, scored alone, median.
        golden_difference: Largest difference between training's answers to the golden rows
            and those of the bundle in a fresh process.
        digest: Of the bundle that was registered.
        scored_digest: Of the bundle that answered the test rows.
    """

    test_digest: str | None = None
    ece: float | None = None
    latency_milliseconds: float | None = None
    golden_difference: float | None = None
    digest: str | None = None
    scored_digest: str | None = None


@dataclass(frozen=True)
class Shadowed:
    """What the challenger did beside the champion over live rows.

    Attributes:
        rows: Both answered.
        failed: The challenger had no answer, or none of finite numbers.
        agreement: Share of `rows` with the same label.
        total_variation: Mean distance of the two answers.
        milliseconds: Its median over batches, a row.
        champion_milliseconds: The champion's on the same batches.
        error: Why the server could not load it; empty where it could.
    """

    rows: int = 0
    failed: int = 0
    agreement: float = 1.0
    total_variation: float = 0.0
    milliseconds: float = 0.0
    champion_milliseconds: float = 0.0
    error: str = ""

    @property
    def times_as_long(self) -> float:
        """Its time over the champion's; 0 where one was not taken."""
        theirs = self.champion_milliseconds
        return self.milliseconds / theirs if theirs else 0.0


@dataclass(frozen=True)
class Shared:
    """Both models on the rows of those classes that both know.

    Attributes:
        names: The shared classes.
        labels: `(rows,)` indices into them.
        ours: `(rows,)` the challenger's answers; `len(names)` stands for any other class.
        theirs: `(rows,)` the champion's.
        rows: `(all rows,)` which of the test rows these are.
    """

    names: tuple[str, ...]
    labels: Indices
    ours: Indices
    theirs: Indices
    rows: Mask


@dataclass(frozen=True)
class Evidence:
    """Everything a decision is made on, all of it from the same test rows.

    Attributes:
        labels: `(rows,)` true class indices.
        classes: Names, in the order of the columns.
        challenger: `(rows, classes)` probabilities of the model that asks to be promoted.
        champion: `(rows, classes)` of Production, scored again tonight on these rows; None
            where there is none. A column of NaN is a class that the champion does not know.
        floor: `(rows, classes)` of the averaged-embedding candidate; None where not trained.
        challenger_is_floor: The floor itself won among the candidates.
        metric: Entry of `statistics.METRICS` that gates compare by.
        confidence: Level of the intervals that are shown.
        samples: Resamples behind each interval.
        seed: Of the resampling.
        champion_version: The version that sentences name.
        extra: More numbers of the challenger that must be finite.
        slices: Name to `(rows,)` mask: parts of the rows that must hold each by itself.
        vanished: Classes that the champion knows and tonight's rows do not have.
        measured: What was measured of the challenger.
        champion_measured: What was measured of the champion.
        calibration_low: Lower end of the interval of the calibration errors' difference.
        wear: How often the test rows have judged a challenger before.
        alpha: One-sided error that all looks at a set's worth of rows may make together.
        worn_after: Looks after which these rows judge no more.
        worn_stops: False: worn rows go on judging, at the level of their last look.
        shadow: What live traffic showed of the challenger; None where there was none.
        waits: What passes waits for a person, and is shadowed meanwhile.
    """

    labels: NDArray[np.integer[Any]]
    classes: Sequence[str]
    challenger: Probabilities
    champion: Probabilities | None = None
    floor: Probabilities | None = None
    challenger_is_floor: bool = False
    metric: str = "macro_f1"
    confidence: float = 0.95
    samples: int = 1_000
    seed: int = 0
    champion_version: str | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mask] = field(default_factory=dict)
    vanished: tuple[str, ...] = ()
    measured: Measures = Measures()
    champion_measured: Measures = Measures()
    calibration_low: float | None = None
    wear: Wear = field(default_factory=Wear)
    alpha: float = 0.05
    worn_after: int = 30
    worn_stops: bool = True
    shadow: Shadowed | None = None
    waits: bool = False

    def __post_init__(self) -> None:
        shape = (len(self.labels), len(self.classes))
        for name in ("challenger", "champion", "floor"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise GateError(
                    f"evidence.{name}: expected probabilities of shape {shape} (rows, classes), "
                    f"got {array.shape}; score it on tonight's test rows"
                )
        if not len(self.labels):
            raise GateError("evidence.labels: no test rows; nothing can be judged")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise GateError(f"evidence.labels: expected indices below {len(self.classes)}")
        if self.metric not in statistics.METRICS:
            known = ", ".join(statistics.METRICS)
            raise GateError(f"evidence.metric: {self.metric!r} cannot be compared; use {known}")
        for name, mask in self.slices.items():
            if mask.shape != self.labels.shape:
                raise GateError(
                    f"evidence.slices[{name!r}]: expected a mask of shape {self.labels.shape}, "
                    f"got {mask.shape}; cut tonight's test rows"
                )

    @property
    def champion_name(self) -> str:
        """As sentences name it."""
        return f"v{self.champion_version}" if self.champion_version else "the champion"

    @property
    def worn(self) -> bool:
        """These rows have judged as often as they may, on average."""
        return self.wear.looks >= self.worn_after

    @property
    def level(self) -> float:
        """The one-sided significance level of tonight's look; 0 where the rows are worn."""
        return self.wear.level(alpha=self.alpha, life=self.worn_after, stops=self.worn_stops)

    @property
    def new_classes(self) -> tuple[str, ...]:
        """Classes of tonight that the champion does not know."""
        return tuple(str(self.classes[c]) for c in np.flatnonzero(~self._known).tolist())

    @cached_property
    def _known(self) -> Mask:
        """`(classes,)` which the champion knows; all where there is no champion."""
        if self.champion is None:
            return np.ones(len(self.classes), bool)
        return np.asarray(~np.isnan(self.champion).all(axis=0))

    @property
    def comparable(self) -> bool:
        """There is a champion, and it knows the class of some row."""
        return self.champion is not None and bool(self._known[self._labels].any())

    @cached_property
    def shared(self) -> Shared:
        """Challenger and champion where they can be compared.

        Raises:
            GateError: no champion, or no row of a class it knows.
        """
        if self.champion is None:
            raise GateError("evidence.champion: there is none to compare with")
        known, labels = self._known, self._labels
        rows = known[labels]
        if not self.comparable:
            raise GateError("evidence: no test row of a class that the champion knows")
        place = np.where(known, np.cumsum(known) - 1, known.sum())
        return Shared(
            tuple(str(self.classes[c]) for c in np.flatnonzero(known).tolist()),
            place[labels[rows]],
            place[answers(self.challenger[rows])],
            place[answers(self.champion[rows])],
            rows,
        )

    def value(self, predicted: Indices) -> float:
        """The metric of some predictions on all rows."""
        return statistics.value(self.metric, self._labels, predicted, len(self.classes))

    def by_chance(self) -> float:
        """The p-value of the challenger's metric, were its answers dealt to the rows at random."""
        return statistics.by_chance(
            self._labels,
            answers(self.challenger),
            classes=len(self.classes),
            metric=self.metric,
            samples=self.samples,
            seed=self.seed,
        )

    def standard_error(self, other: NDArray[np.int64]) -> float:
        """Of the difference between the challenger's metric and that of other predictions."""
        return statistics.paired_difference(
            self._labels,
            answers(self.challenger),
            other,
            classes=len(self.classes),
            metric=self.metric,
            samples=self.samples,
            seed=self.seed,
        ).error

    @cached_property
    def difference(self) -> statistics.Difference:
        """How much better the challenger is than the champion, on the classes both know."""
        return statistics.paired_difference(
            self.shared.labels,
            self.shared.ours,
            self.shared.theirs,
            classes=len(self.shared.names),
            metric=self.metric,
            samples=self.samples,
            confidence=self.confidence,
            seed=self.seed,
        )

    def of_classes(self) -> Iterator[Pairs]:
        """Right answers to the rows of each shared class that has rows."""
        for c, name in enumerate(self.shared.names):
            mask = self.shared.labels == c
            if mask.any():
                yield self._right(name, mask)

    def of_slices(self) -> Iterator[Pairs]:
        """Right answers to the rows of each slice that has rows of shared classes."""
        for name, mask in self.slices.items():
            inside = mask[self.shared.rows]
            if inside.any():
                yield self._right(name, inside)

    def _right(self, name: str, mask: Mask) -> Pairs:
        ours, theirs = (
            (said == self.shared.labels)[mask] for said in (self.shared.ours, self.shared.theirs)
        )
        return Pairs(
            name,
            len(ours),
            int(ours.sum()),
            int(theirs.sum()),
            int((ours & ~theirs).sum()),
            int((theirs & ~ours).sum()),
        )

    @property
    def _labels(self) -> Indices:
        return np.asarray(self.labels, np.int64)


def answers(probabilities: Probabilities) -> Indices:
    """The likeliest class of each row; a class without a number is never the answer.

    Raises:
        GateError: a row without any number.
    """
    missing = np.isnan(probabilities)
    if missing.all(axis=1).any():
        rows = int(missing.all(axis=1).sum())
        raise GateError(f"{rows} of {len(probabilities)} rows have no probability at all")
    likeliest: Indices = np.where(missing, -np.inf, probabilities).argmax(axis=1)
    return likeliest
