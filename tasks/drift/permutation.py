"""Is a day unlike the reference? Reshuffled, so that the answer needs no distribution.

Under the hypothesis that the rows of the day and of the reference are exchangeable, every
assignment of the pooled rows to the two is as likely as the observed one. Over several features
the largest of their scores is compared with what reshufflings give as largest: Westfall and
Young, Resampling-based multiple testing (Wiley 1993), section 2.6 (single-step maxT). The chance
of any false finding is at most the level asked for, whatever hangs together with what.

A score is the statistic's cube root, which makes sums of squares of any number of terms nearly
normal (Wilson and Hilferty, The distribution of chi-square, PNAS 1931), less its mean and over
its deviation among all assignments: so one scale serves all features, and none drowns another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.drift.features import Assignments, Feature, Values

AT_ONCE = 250


@dataclass(frozen=True)
class Compared:
    """One feature of a day against the reference.

    Attributes:
        name: Of the feature.
        statistic: How far apart they are.
        usual: What reshuffled rows give, on average.
        alone: Probability of so much or more by chance, for this feature alone.
        among: The same for any of the features: what a level is held against.
    """

    name: str
    statistic: float
    usual: float
    alone: float
    among: float


def compare(
    features: Sequence[Feature], days: int, references: int, *, permutations: int, seed: int
) -> list[Compared]:
    """Every feature of a day against the reference, in the order given.

    Args:
        features: Over the pooled rows: those of the day first.
        days: Rows of the day.
        references: Rows of the reference.
        permutations: Reshufflings; the smallest probability is 1 / (permutations + 1).
        seed: Of the reshufflings.

    Returns:
        Nothing where there are no features.
    """
    if not features:
        return []
    shuffled = _statistics(features, days, references, permutations, seed)
    alone = chances(shuffled)
    scored = scores(shuffled)
    largest = np.round(scored.max(axis=1), 9)
    return [
        Compared(
            feature.name,
            float(shuffled[0, at]),
            float(shuffled[1:, at].mean()),
            float(alone[0, at]),
            float((largest >= np.round(scored[0, at], 9)).mean()),
        )
        for at, feature in enumerate(features)
    ]


def chances(statistics: Values) -> Values:
    """The probability of each statistic among all assignments, itself counted.

    Args:
        statistics: `(assignments, features)`.

    Returns:
        `(assignments, features)`, each a multiple of 1 / assignments and above 0.
    """
    rounded = np.round(statistics, 12)  # equal up to the order of a sum is equal
    ranked = np.sort(rounded, axis=0)
    below = np.stack(
        [np.searchsorted(ranked[:, at], rounded[:, at], "left") for at in range(ranked.shape[1])],
        axis=1,
    )
    return np.asarray((len(statistics) - below) / len(statistics), np.float64)


def scores(statistics: Values) -> Values:
    """Statistics of every feature on one scale; a feature that never varies scores 0.

    Args:
        statistics: `(assignments, features)`, none negative but by rounding.
    """
    roots = np.cbrt(np.round(np.maximum(statistics, 0), 12))
    spread = roots.std(axis=0)
    return np.asarray((roots - roots.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf))


def _statistics(
    features: Sequence[Feature], days: int, references: int, permutations: int, seed: int
) -> Values:
    """`(1 + permutations, features)`, the observed one first; a bounded number at a time."""
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, permutations + 1, AT_ONCE):
        count = min(AT_ONCE, permutations + 1 - start)
        block = _assigned(rng, days, days + references, count, observed=start == 0)
        found.append(np.stack([feature.statistics(block) for feature in features], axis=1))
    return np.concatenate(found)


def _assigned(
    rng: np.random.Generator, days: int, rows: int, count: int, *, observed: bool
) -> Assignments:
    block: NDArray[np.float32] = np.zeros((count, rows), np.float32)
    block[:, :days] = 1
    first = int(observed)
    block[first:] = rng.permuted(block[first:], axis=1)
    return block
