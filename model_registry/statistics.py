"""Is one model better than another, or was it luck? Paired tests on the same rows.

Both models' answers to a row stay together in every resample, so that what is hard for both
cancels out; rows are drawn inside each true class, so that a rare class never vanishes. All
metrics here follow from confusion counts, therefore drawing rows equals one multinomial draw
a class over the pairs of answers, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_registry.errors import GateError

Labels = NDArray[np.int64]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]

CELLS_AT_ONCE = 4_000_000  # int64 counts of two models: 64 MB


@dataclass(frozen=True)
class Difference:
    """How much better the first model is than the second, by one metric on the same rows.

    Attributes:
        metric: Entry of `METRICS`.
        first: The first model's value.
        second: The second model's value.
        difference: `first - second`.
        low: Lower end of the interval of the difference.
        high: Upper end.
        p: Two-sided bootstrap p-value of "no difference".
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


def accuracy(counts: Counts) -> Values:
    """Share of rows that are right, over `(..., classes, classes)` with the truth down."""
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)))


def balanced_accuracy(counts: Counts) -> Values:
    """Mean recall of the classes that occur among the labels."""
    support = counts.sum(-1)
    return _mean(_ratio(_hits(counts), support), support > 0)


def macro_f1(counts: Counts) -> Values:
    """Mean F1 of the classes that occur among labels or predictions, as in scikit-learn."""
    return _mean(_f1(counts), counts.sum(-1) + counts.sum(-2) > 0)


def weighted_f1(counts: Counts) -> Values:
    """Mean F1, each class weighted by its rows."""
    return _ratio((_f1(counts) * counts.sum(-1)).sum(-1), counts.sum((-2, -1)))


def mcc(counts: Counts) -> Values:
    """Matthews correlation for several classes (Gorodkin 2004)."""
    rows = counts.sum((-2, -1)).astype(float)
    true, said = counts.sum(-1).astype(float), counts.sum(-2).astype(float)
    shared = _hits(counts).sum(-1) * rows - (true * said).sum(-1)
    spread = (rows**2 - (said**2).sum(-1)) * (rows**2 - (true**2).sum(-1))
    return _ratio(shared, np.sqrt(spread))


METRICS: dict[str, Callable[[Counts], Values]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "mcc": mcc,
    "weighted_f1": weighted_f1,
}


def value(metric: str, labels: Labels, predicted: Labels, classes: int) -> float:
    """One model's metric; `labels` and `predicted` are `(rows,)` class indices."""
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return float(METRICS[metric](cells.reshape(classes, classes)))


def paired_difference(
    labels: Labels,
    first: Labels,
    second: Labels,
    *,
    classes: int,
    metric: str,
    samples: int = 1_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The difference of a metric between two models, with its stratified bootstrap interval.

    Args:
        labels: `(rows,)` class indices.
        first: `(rows,)` what the first model said of each row.
        second: `(rows,)` what the second said of the same rows.
        classes: How many classes there are.
        metric: Entry of `METRICS`.
        samples: Resamples behind the interval.
        confidence: Level of the percentile interval.
        seed: Of the resampling; same seed, same interval.

    Raises:
        GateError: no rows, arrays that do not fit each other, or an unknown metric.
    """
    if not len(labels) or not (len(labels) == len(first) == len(second)):
        raise GateError(
            f"paired comparison: needs the same rows from both models, got {len(labels)} labels, "
            f"{len(first)} and {len(second)} predictions; score both on tonight's test rows"
        )
    if metric not in METRICS:
        raise GateError(f"metric {metric!r}: cannot be compared; use one of {', '.join(METRICS)}")
    one = value(metric, labels, first, classes)
    two = value(metric, labels, second, classes)
    pairs = [_pairs(first[labels == c], second[labels == c], classes) for c in range(classes)]
    draws = np.concatenate(
        [
            METRICS[metric](ours) - METRICS[metric](theirs)
            for ours, theirs in _resamples(pairs, samples, np.random.default_rng(seed))
        ]
    )
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (samples + 1))
    return Difference(metric, one, two, one - two, float(low), float(high), p)


def _resamples(
    pairs: list[tuple[Labels, Labels, Counts]], samples: int, rng: np.random.Generator
) -> Iterator[tuple[Counts, Counts]]:
    """Both models' confusion counts, `(some samples, classes, classes)` at a time."""
    classes = len(pairs)
    step = max(1, CELLS_AT_ONCE // classes**2)
    for start in range(0, samples, step):
        size = min(step, samples - start)
        ours = np.zeros((size, classes, classes), np.int64)
        theirs = np.zeros_like(ours)
        for true, (a, b, rows) in enumerate(pairs):
            if rows.size:
                drawn = rng.multinomial(rows.sum(), rows / rows.sum(), size=size)
                ours[:, true] = drawn @ np.eye(classes, dtype=np.int64)[a]
                theirs[:, true] = drawn @ np.eye(classes, dtype=np.int64)[b]
        yield ours, theirs


def _pairs(first: Labels, second: Labels, classes: int) -> tuple[Labels, Labels, Counts]:
    """The distinct pairs of answers to the rows of one class, and how many rows gave each."""
    cells, rows = np.unique(first * classes + second, return_counts=True)
    return cells // classes, cells % classes, rows


def _hits(counts: Counts) -> Counts:
    hits: Counts = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits


def _f1(counts: Counts) -> Values:
    return _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def _ratio(above: NDArray[np.number], below: NDArray[np.number]) -> Values:
    out: Values = np.zeros(np.shape(below))
    np.divide(above, below, out=out, where=np.asarray(below) > 0)
    return out


def _mean(values: Values, chosen: NDArray[np.bool_]) -> Values:
    return _ratio((values * chosen).sum(-1), chosen.sum(-1))
