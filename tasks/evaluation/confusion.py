"""Measures that follow from the confusion counts alone, for one table or thousands at once.

One definition serves the score and its bootstrap interval: the resampled tables are a batch
in front of the two class axes. The values equal scikit-learn's (tested); its import would cost
each candidate process seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.inputs import Labels

Counts = NDArray[np.int64]
Values = NDArray[np.float64]

CONFUSION_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_recall",
    "weighted_f1",
    "mcc",
)


def confusion(labels: Labels, predicted: Labels, classes: int) -> Counts:
    """Rows by true class (down) and predicted class (across), `(classes, classes)`."""
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.int64)


def from_confusion(counts: Counts) -> dict[str, Values]:
    """Each of `CONFUSION_METRICS` over the last two axes.

    Macro averages run over the classes that occur among the labels or the predictions, as in
    scikit-learn; balanced accuracy over those that occur among the labels. A ratio with
    nothing below the line counts as 0.

    Args:
        counts: `(..., classes, classes)`, true class on the second to last axis.

    Returns:
        Metric to values of shape `(...)`.
    """
    _, recall, f1, support = rates(counts)
    predicted = counts.sum(axis=-2)
    rows = support.sum(axis=-1)
    hits = np.trace(counts, axis1=-2, axis2=-1)
    occurs, labelled = (support + predicted) > 0, support > 0
    return {
        "accuracy": _ratio(hits, rows),
        "balanced_accuracy": _mean(recall, labelled),
        "macro_f1": _mean(f1, occurs),
        "macro_recall": _mean(recall, occurs),
        "weighted_f1": _ratio((f1 * support).sum(axis=-1), rows),
        "mcc": _matthews(hits, rows, support, predicted),
    }


def rates(counts: Counts) -> tuple[Values, Values, Values, Counts]:
    """Precision, recall, F1 and support of each class, each `(..., classes)`."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    precision, recall = _ratio(hits, predicted), _ratio(hits, support)
    return precision, recall, _ratio(2 * hits, support + predicted), support


def _matthews(hits: Counts, rows: Counts, support: Counts, predicted: Counts) -> Values:
    """Multiclass correlation, Gorodkin 2004 (https://doi.org/10.1016/j.compbiolchem.2004.09.006).

    In floats: products of counts leave int64 at three billion rows.
    """
    n, t, p = rows.astype(float), support.astype(float), predicted.astype(float)
    shared = hits * n - (t * p).sum(axis=-1)
    spread = (n**2 - (p**2).sum(axis=-1)) * (n**2 - (t**2).sum(axis=-1))
    return _ratio(shared, np.sqrt(spread))


def _ratio(above: NDArray[np.number], below: NDArray[np.number]) -> Values:
    out = np.zeros(np.shape(below))
    return np.asarray(np.divide(above, below, out=out, where=np.asarray(below) > 0))


def _mean(values: Values, chosen: NDArray[np.bool_]) -> Values:
    return _ratio((values * chosen).sum(axis=-1), chosen.sum(axis=-1))
