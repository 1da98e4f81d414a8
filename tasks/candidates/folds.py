"""Which train rows are held out in which fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.config import ConfigError

Rows = NDArray[np.int64]


def folds(
    labels: NDArray[np.int32], groups: NDArray[np.str_] | None, count: int, *, seed: int
) -> Iterator[tuple[Rows, Rows]]:
    """Train and held-out rows of each fold, stratified, and by group where there are groups.

    Args:
        labels: `(rows,)` class of each train row.
        groups: `(rows,)` group of each row; rows of a group are held out together.
        count: Folds.
        seed: Of the shuffling.

    Raises:
        ConfigError: a class with fewer rows or groups than folds, so that a fold would miss it.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units, what = (labels, "rows") if groups is None else (_first(labels, groups), "groups")
    smallest = int(np.unique(units, return_counts=True)[1].min(initial=len(units)))
    if smallest < count:
        raise ConfigError(
            f"folds: {count} folds need {count} {what} of every class, the smallest has "
            f"{smallest}; use fewer folds or 0"
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(count, shuffle=True, random_state=seed)
    for kept, held in splitter.split(np.zeros(len(labels)), labels, groups):
        yield kept.astype(np.int64), held.astype(np.int64)


def _first(labels: NDArray[np.int32], groups: NDArray[np.str_]) -> NDArray[np.int32]:
    """A label for each pair of group and class."""
    numbers = np.unique(groups, return_inverse=True)[1]
    return np.unique(np.stack([numbers, labels], axis=1), axis=0)[:, 1].astype(np.int32)
