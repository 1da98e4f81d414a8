"""Which train rows are held out in which fold of a cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.config import ConfigError

Rows = NDArray[np.int64]


def folds(
    labels: NDArray[np.int32],
    groups: NDArray[np.str_] | None,
    count: int,
    *,
    seed: int,
    repeats: int = 1,
) -> Iterator[tuple[Rows, Rows]]:
    """Train and held-out rows of each fold, stratified, and by group where there are groups.

    A class with fewer rows than folds is held out in as many folds as it has rows.

    Args:
        labels: `(rows,)` class of each train row.
        groups: `(rows,)` group of each row; rows of a group are held out together.
        count: Folds.
        seed: Of the shuffling.
        repeats: Times that all rows are cut, each time shuffled otherwise; all folds of a cut
            before those of the next.

    Raises:
        ConfigError: no class with as many rows or groups as folds, or a fold without a second class
            to learn from.
    """
    units, what = (labels, "rows") if groups is None else (_first(labels, groups), "groups")
    largest = int(np.bincount(units).max(initial=0))
    if largest < count:
        raise ConfigError(
            f"folds: {count} folds need a class with {count} {what}, the largest has "
            f"{largest}; use fewer folds or 0"
        )
    parts = [
        part for repeat in range(repeats) for part in _cut(labels, groups, count, seed, repeat)
    ]
    alone = next((n for n, (kept, _) in enumerate(parts, 1) if np.ptp(labels[kept]) == 0), None)
    if alone and np.ptp(labels):
        raise ConfigError(
            f"folds: fold {alone} of {len(parts)} would learn from rows of one class alone, so few "
            f"{what} have the others; use 0, or bring more of them"
        )
    for kept, held in parts:
        yield kept.astype(np.int64), held.astype(np.int64)


def _cut(
    labels: NDArray[np.int32], groups: NDArray[np.str_] | None, count: int, seed: int, repeat: int
) -> list[tuple[Rows, Rows]]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    other = int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(count, shuffle=True, random_state=other if repeat else seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(np.zeros(len(labels)), labels, groups))


def _first(labels: NDArray[np.int32], groups: NDArray[np.str_]) -> NDArray[np.int32]:
    """A label for each pair of group and class."""
    numbers = np.unique(groups, return_inverse=True)[1]
    return np.unique(np.stack([numbers, labels], axis=1), axis=0)[:, 1].astype(np.int32)
