"""What gates judge by: the models' answers to the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_registry import statistics
from model_registry.errors import GateError

Probabilities = NDArray[np.floating[Any]]


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
        confidence: Level of the intervals.
        samples: Resamples behind each interval.
        seed: Of the resampling.
        champion_version: The version that sentences name.
        extra: More numbers of the challenger that must be finite.
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

    def value(self, predicted: NDArray[np.int64]) -> float:
        """The metric of some predictions on these rows."""
        return statistics.value(self.metric, self._labels, predicted, len(self.classes))

    def difference(
        self, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> statistics.Difference:
        """How much better the first predictions are than the second, with its interval."""
        return statistics.paired_difference(
            self._labels,
            first,
            second,
            classes=len(self.classes),
            metric=self.metric,
            samples=self.samples,
            confidence=self.confidence,
            seed=self.seed,
        )

    @property
    def _labels(self) -> NDArray[np.int64]:
        return np.asarray(self.labels, np.int64)


def answers(probabilities: Probabilities) -> NDArray[np.int64]:
    """The likeliest class of each row; a class without a number is never the answer.

    Raises:
        GateError: a row without any number.
    """
    missing = np.isnan(probabilities)
    if missing.all(axis=1).any():
        rows = int(missing.all(axis=1).sum())
        raise GateError(f"{rows} of {len(probabilities)} rows have no probability at all")
    likeliest: NDArray[np.int64] = np.where(missing, -np.inf, probabilities).argmax(axis=1)
    return likeliest
