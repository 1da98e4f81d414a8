"""Labels and probabilities as every measure takes them, checked in one place.

Errors:
    MetricError (ValueError): labels or probabilities that no measure is defined for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

SUM_TOLERANCE = 1e-3


class MetricError(ValueError):
    """Labels or probabilities that cannot be measured; the message says which and why."""


def checked(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Labels, Probabilities]:
    """The same numbers as int64 and float64, once they are known to be sound.

    Args:
        labels: `(rows,)` indices of the true classes.
        probabilities: `(rows, classes)`, each row summing to one.

    Raises:
        MetricError: no rows, shapes that disagree, labels outside the classes, or
            probabilities that are not finite, negative or do not sum to one.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise MetricError(
            "labels and probabilities: expected (rows,) and (rows, classes), got "
            f"{labels.shape} and {probabilities.shape}; score the same rows as were labelled"
        )
    if not len(labels):
        raise MetricError("labels: need at least one row, got 0; check the split's share of rows")
    _check_labels(labels, probabilities.shape[1])
    _check_probabilities(probabilities)
    return labels.astype(np.int64), probabilities


def _check_labels(labels: NDArray[Any], classes: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise MetricError(f"labels: expected class indices (integers), got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise MetricError(
            f"labels: must lie in 0..{classes - 1}, got {low}..{high}; "
            "the model was trained on other classes"
        )


def _check_probabilities(probabilities: Probabilities) -> None:
    bad = ~np.asarray(np.isfinite(probabilities).all(axis=1))
    if bad.any():
        raise MetricError(
            f"probabilities: must be finite, got NaN or infinity in {bad.sum():,} of "
            f"{len(bad):,} rows (first: row {bad.argmax()}); the model has diverged: lower "
            "its learning rate"
        )
    bad = (probabilities < 0).any(axis=1) | (abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE)
    if bad.any():
        row = int(bad.argmax())
        raise MetricError(
            f"probabilities: each row must be non-negative and sum to 1, got "
            f"{np.round(probabilities[row], 4).tolist()} in row {row}; apply the softmax first"
        )


def without_missing_classes(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities of a model that never knew some of tonight's classes.

    Args:
        probabilities: `(rows, classes)`; a column of nothing but NaN is such a class.

    Returns:
        The same with zero there, since the model can never answer with that class. A NaN in
        any other column stays, so that it is found.
    """
    known = np.asarray(probabilities, np.float32)
    return np.where(np.isnan(known).all(axis=0, keepdims=True), np.float32(0), known)
