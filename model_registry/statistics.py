"""Is one model better than another, or was it luck? Paired tests on the same rows.

Both models' answers to a row stay together in every resample, so that what is hard for both
cancels out; rows are drawn inside each true class, so that a rare class never vanishes. All
metrics here follow from confusion counts, therefore drawing rows equals one multinomial draw
a class over the pairs of answers, whatever the number of rows.

A class of three rows that all changed sides has no variance in a bootstrap. So the answers
are also swapped between the models at random (approximate randomisation: Yeh 2000,
https://aclanthology.org/C00-2137), and the larger of both spreads counts. Where models never
disagree, neither has any, and yet forty such rows exclude no loss of a hundredth. So one more row
is counted that the first model alone gets right, and one that the second does (Bonett and Price
2012, Adjusted Wald confidence interval for a difference of binomial proportions based on paired
data), a row of any class as probably as it has rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from model_registry.errors import GateError

Labels = NDArray[np.int64]
Counts = NDArray[np.number]
Values = NDArray[np.float64]

CELLS_AT_ONCE = 4_000_000  # counts of two models: 64 MB


Pairs = tuple[Values, Values, Labels]


@dataclass(frozen=True)
class Difference:
    """How much better the first model is than the second, by one metric on the same rows.

    Attributes:
        metric: Entry of `METRICS`.
        rows: How many rows both answered.
        first: The first model's value.
        second: The second model's value.
        difference: `first - second`.
        low: Lower end of the interval of the difference: of percentiles, or of the standard
            error where that is wider.
        high: Upper end.
        error: Standard error of the difference.
    """

    metric: str
    rows: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    error: float

    @property
    def p(self) -> float:
        """Two-sided p-value of "no difference"."""
        if not self.error:
            return 0.0 if self.difference else 1.0
        return math.erfc(abs(self.difference) / self.error / math.sqrt(2))

    def at_least(self, level: float) -> float:
        """What the difference is no smaller than, but for an error of this level.

        A normal bound: percentiles of a thousand resamples end where small levels begin.
        """
        return self.difference - z_of(level) * self.error if level > 0 else -math.inf

    def at_most(self, level: float) -> float:
        """What the difference is no larger than, but for an error of this level."""
        return self.difference + z_of(level) * self.error if level > 0 else math.inf

    def rows_to_see(self, size: float, level: float, power: float = 0.8) -> int:
        """Rows on which a difference of `size` shows at this level with this power.

        From the spread on these rows: `(z_level + z_power)^2 * variance a row / size^2`.
        """
        if not size or level <= 0:
            return 0
        needed = (z_of(level) + z_of(1 - power)) * self.error / size
        return math.ceil(self.rows * needed**2)

    def power(self, size: float, level: float) -> float:
        """How often a true difference of `size` would show on rows like these."""
        if not self.error:
            return 1.0
        reach = size / self.error - (z_of(level) if level > 0 else math.inf)
        return NormalDist().cdf(reach)


def z_of(level: float) -> float:
    """Normal deviate that is exceeded with this probability."""
    return -NormalDist().inv_cdf(level)


def accuracy(counts: Counts) -> Values:
    """Share of rows that are right.

    Here and below counts are `(..., classes, answers)` with the truth down; answers are the
    classes, and maybe others that no row has.
    """
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)))


def balanced_accuracy(counts: Counts) -> Values:
    """Mean recall of the classes that occur among the labels."""
    support = counts.sum(-1)
    return _mean(_ratio(_hits(counts), support), support > 0)


def macro_f1(counts: Counts) -> Values:
    """Mean F1 of the classes that occur among labels or predictions, as in scikit-learn."""
    return _mean(_f1(counts), counts.sum(-1) + _said(counts) > 0)


def weighted_f1(counts: Counts) -> Values:
    """Mean F1, each class weighted by its rows."""
    return _ratio((_f1(counts) * counts.sum(-1)).sum(-1), counts.sum((-2, -1)))


def mcc(counts: Counts) -> Values:
    """Matthews correlation for several classes (Gorodkin 2004)."""
    rows = counts.sum((-2, -1)).astype(float)
    true, said = counts.sum(-1).astype(float), counts.sum(-2).astype(float)
    shared = _hits(counts).sum(-1) * rows - (true * said[..., : true.shape[-1]]).sum(-1)
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
    """One model's metric; `labels` and `predicted` are `(rows,)` class indices.

    A prediction equal to `classes` means "another class than these" and is never right.
    """
    answers = classes + 1
    cells = np.bincount(labels * answers + predicted, minlength=classes * answers)
    return float(METRICS[metric](cells.reshape(classes, answers)))


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
        first: `(rows,)` what the first model said of each row; `classes` means another class.
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
    rng = np.random.default_rng(seed)
    drawn, swapped = (
        np.concatenate(
            [
                METRICS[metric](ours) - METRICS[metric](theirs)
                for ours, theirs in _draws(pairs, samples, rng, draw)
            ]
        )
        for draw in (_resampled, _swapped)
    )
    seen = max(float(drawn.var()), float((swapped**2).mean()))
    unseen = sum(_of_one_row(metric, labels, said, classes) for said in (first, second))
    error = math.sqrt(seen + unseen)
    chance = (1 - confidence) / 2
    low, high = np.quantile(drawn, [chance, 1 - chance]) - (one - two)
    reach = z_of(chance) * error
    ends = one - two + min(float(low), -reach), one - two + max(float(high), reach)
    return Difference(metric, len(labels), one, two, one - two, *ends, error)


def _of_one_row(metric: str, labels: Labels, predicted: Labels, classes: int) -> float:
    """The mean square of what the metric changes by if one row is answered otherwise.

    A right answer becomes a wrong one, and a wrong one right in a class without any right.
    """
    answers = classes + 1
    cells = np.bincount(labels * answers + predicted, minlength=classes * answers)
    counts = cells.reshape(classes, answers)
    reached, total = METRICS[metric](counts), 0.0
    for true in np.flatnonzero(counts.sum(axis=1)):
        wrong = np.delete(np.arange(answers), true)
        other = wrong[counts[true, wrong].argmax()]
        before, after = (true, other) if counts[true, true] else (other, true)
        changed = counts.copy()
        changed[true, before] -= 1
        changed[true, after] += 1
        total += counts[true].sum() * float(METRICS[metric](changed) - reached) ** 2
    return float(total / len(labels))


def by_chance(
    labels: Labels, predicted: Labels, *, classes: int, metric: str, samples: int, seed: int = 0
) -> float:
    """How probable the metric is, or a better one, for the same answers in random order.

    Tables of counts with the margins of the real one are drawn, as permuting the rows would
    draw them (Patefield 1981, https://doi.org/10.2307/2346669).

    Args:
        labels: `(rows,)` class indices.
        predicted: `(rows,)` class indices.
        classes: How many there are.
        metric: Entry of `METRICS`.
        samples: Tables drawn; the smallest value is `1 / (samples + 1)`.
        seed: Of the drawing.
    """
    from scipy.stats import random_table

    margins = (np.bincount(each, minlength=classes) for each in (labels, predicted))
    tables, rng = random_table(*margins), np.random.default_rng(seed)
    reached, step = 0, max(1, CELLS_AT_ONCE // classes**2)
    ours = value(metric, labels, predicted, classes)
    for start in range(0, samples, step):
        drawn = tables.rvs(min(step, samples - start), random_state=rng)
        values = METRICS[metric](np.pad(drawn, ((0, 0), (0, 0), (0, 1))))
        reached += int((values >= ours - 1e-12).sum())
    return (1 + reached) / (1 + samples)


Draw = Callable[[Pairs, int, np.random.Generator], tuple[Counts, Counts]]


def _draws(
    pairs: list[Pairs], samples: int, rng: np.random.Generator, draw: Draw
) -> Iterator[tuple[Counts, Counts]]:
    """Both models' confusion counts, `(some samples, classes, answers)` at a time."""
    classes = len(pairs)
    step = max(1, CELLS_AT_ONCE // classes**2)
    for start in range(0, samples, step):
        size = min(step, samples - start)
        ours = np.zeros((size, classes, classes + 1))
        theirs = np.zeros_like(ours)
        for true, of_class in enumerate(pairs):
            if of_class[2].size:
                ours[:, true], theirs[:, true] = draw(of_class, size, rng)
        yield ours, theirs


def _resampled(pairs: Pairs, size: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """As many rows again, with replacement."""
    a, b, rows = pairs
    drawn = rng.multinomial(rows.sum(), rows / rows.sum(), size=size).astype(float)
    return drawn @ a, drawn @ b


def _swapped(pairs: Pairs, size: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """The same rows, each with the models' answers exchanged or not."""
    differ = (pairs[0] != pairs[1]).any(axis=1)
    a, b, rows = (part[differ] for part in pairs)
    moved = rng.binomial(rows, 0.5, size=(size, len(rows))).astype(float)
    agreed = pairs[2][~differ] @ pairs[0][~differ]
    return agreed + (rows - moved) @ a + moved @ b, agreed + (rows - moved) @ b + moved @ a


def _pairs(first: Labels, second: Labels, classes: int) -> Pairs:
    """The distinct pairs of answers to the rows of one class, and how many rows gave each.

    The answers come as `(pairs, answers)` of 0 and 1, ready to be multiplied with counts.
    """
    answers = classes + 1
    cells, rows = np.unique(first * answers + second, return_counts=True)
    one = np.eye(answers)  # of floats: their products are fast
    return one[cells // answers], one[cells % answers], rows


def _hits(counts: Counts) -> Counts:
    hits: Counts = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits


def _said(counts: Counts) -> Counts:
    """How often each class was answered, but for answers that no row has."""
    said: Counts = counts.sum(-2)[..., : counts.shape[-2]]
    return said


def _f1(counts: Counts) -> Values:
    return _ratio(2 * _hits(counts), counts.sum(-1) + _said(counts))


def _ratio(above: NDArray[np.number], below: NDArray[np.number]) -> Values:
    out: Values = np.zeros(np.shape(below))
    np.divide(above, below, out=out, where=np.asarray(below) > 0)
    return out


def _mean(values: Values, chosen: NDArray[np.bool_]) -> Values:
    return _ratio((values * chosen).sum(-1), chosen.sum(-1))
