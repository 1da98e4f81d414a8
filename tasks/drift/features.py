"""What is compared: each feature knows its pooled rows and how far apart two halves of them are.

A feature is asked for its statistic under many assignments of the pooled rows to "the day" and
"the reference" at once: row 0 of the assignments is what was observed, the others are
reshufflings. All statistics are sums over rows or orders of rows, so no row is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Assignments = NDArray[np.float32]


class Feature(Protocol):
    """One thing that may have moved."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def statistics(self, days: Assignments) -> Values:
        """How far apart the halves are, a number for each assignment.

        Args:
            days: `(assignments, rows)` float32: 1 where a row counts to the day, else 0; each
                row of it has the same sum.

        Returns:
            `(assignments,)`, larger is farther apart.
        """
        ...


@dataclass(frozen=True)
class Ordered:
    """Numbers, compared as distributions: location, spread and tails.

    The statistic is the two-sample Anderson-Darling one with its weight 1 / (H (1 - H)), ties
    taken together (Scholz and Stephens, K-sample Anderson-Darling tests, JASA 1987, equation 7).

    Attributes:
        name: What it is.
        values: `(rows,)`, of day and reference alike; NaN counts as the smallest.
    """

    name: str
    values: Values

    def statistics(self, days: Assignments) -> Values:
        """See `Feature`."""
        values = np.where(np.isnan(self.values), -np.inf, self.values)
        order = np.argsort(values, kind="stable")
        ends = np.flatnonzero(np.append(values[order][1:] != values[order][:-1], True))
        rows, here = days.shape[1], float(days[0].sum())
        seen = np.cumsum(days[:, order], axis=1, dtype=np.float32)[:, ends[:-1]]
        pooled = (ends[:-1] + 1.0) / rows
        weights = np.diff(np.append(-1, ends))[:-1] / rows / (pooled * (1 - pooled))
        apart = seen / here - (ends[:-1] + 1.0 - seen) / (rows - here)
        return np.asarray(np.square(apart) @ weights, np.float64)


@dataclass(frozen=True)
class Counts:
    """How often each of several classes occurs.

    The statistic is Pearson's chi-square distance between the two mixes: the sum over columns
    of (share here - share there)^2 / pooled share. The permutation keeps rows whole, so words
    that come together do not count as independent.

    Attributes:
        name: What it is.
        table: `(rows, columns)`, how often each occurs in each row.
        columns: What the columns are, where they have names.
    """

    name: str
    table: NDArray[np.float32]
    columns: tuple[str, ...] = ()

    def statistics(self, days: Assignments) -> Values:
        """See `Feature`."""
        total = self.table.sum(axis=0, dtype=np.float64)
        used = total > 0
        here = (days @ self.table)[:, used].astype(np.float64)
        there = total[used] - here
        shares = here / np.maximum(here.sum(axis=1, keepdims=True), 1)
        others = there / np.maximum(there.sum(axis=1, keepdims=True), 1)
        expected = total[used] / max(total.sum(), 1)
        return np.asarray(np.square(shares - others) @ (1 / expected), np.float64)


@dataclass(frozen=True)
class Presence:
    """Which of many words a row holds, compared word by word.

    The statistic is the mean fourth power of each word's standardised difference in share of
    rows: with the second power one new word in every row would drown among hundreds of others
    (the sum of powers of Xu et al., An adaptive two-sample test for high-dimensional means,
    Biometrika 2016, with gamma = 4). The permutation keeps rows whole, so words that come
    together do not count as independent.

    Attributes:
        name: What it is.
        table: `(rows, words)`, 1 where a row holds a word, else 0.
    """

    name: str
    table: NDArray[np.float32]

    def statistics(self, days: Assignments) -> Values:
        """See `Feature`."""
        rows, count = days.shape[1], float(days[0].sum())
        total = self.table.sum(axis=0, dtype=np.float64)
        used = (total > 0) & (total < rows)
        here = (days @ self.table)[:, used].astype(np.float64)
        apart = here / count - (total[used] - here) / (rows - count)
        share = total[used] / rows
        scale = count * (rows - count) / rows / (share * (1 - share))
        squares = np.square(apart) * scale
        return np.asarray(np.square(squares).mean(axis=1), np.float64)


@dataclass(frozen=True)
class Means:
    """Points in space, compared by their means in a kernel's features.

    With random Fourier features of a Gaussian kernel the squared distance of the means is the
    (biased) maximum mean discrepancy (Gretton et al., A kernel two-sample test, JMLR 2012;
    Rahimi and Recht, Random features for large-scale kernel machines, NIPS 2007).

    Attributes:
        name: What it is.
        points: `(rows, features)`.
    """

    name: str
    points: NDArray[np.float32]

    def statistics(self, days: Assignments) -> Values:
        """See `Feature`."""
        here = float(days[0].sum())
        sums = (days @ self.points).astype(np.float64)
        rest = self.points.sum(axis=0, dtype=np.float64) - sums
        apart = sums / here - rest / (days.shape[1] - here)
        return np.asarray(np.square(apart).sum(axis=1), np.float64)


def one_hot(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    """`(rows, classes)`: 1 in the column of each row's label."""
    at = {name: number for number, name in enumerate(classes)}
    table = np.zeros((len(labels), len(classes)), np.float32)
    table[np.arange(len(labels)), [at[label] for label in labels]] = 1
    return table


def fourier(points: NDArray[np.float32], features: int, seed: int) -> NDArray[np.float32]:
    """Random Fourier features of a Gaussian kernel whose width is the median distance.

    Args:
        points: `(rows, dimensions)`.
        features: How many; even.
        seed: Of the directions, and of the pairs whose median distance is taken.

    Returns:
        `(rows, features)` float32.
    """
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, len(points), (2, 2_000))
    distances = np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1)
    width = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    directions = rng.normal(size=(points.shape[1], features // 2)).astype(np.float32) / width
    angles = points @ directions
    scale = np.float32(np.sqrt(2 / features))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * scale
