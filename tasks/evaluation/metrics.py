"""What a model's answers are worth: one dictionary of numbers, one table by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.calibration import SMALLEST, reliability
from tasks.evaluation.confusion import CONFUSION_METRICS, confusion, from_confusion, rates
from tasks.evaluation.inputs import Labels, MetricError, Probabilities, checked

LOWER_IS_BETTER = ("log_loss", "brier", "ece")
METRICS = (*CONFUSION_METRICS, *LOWER_IS_BETTER)


def score(labels: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """Every one of `METRICS`.

    Macro averages run over the classes that occur among the labels or the predictions
    (scikit-learn's default); Brier is the multiclass sum over classes, between 0 and 2
    (Brier 1950); log loss is in nats; ece is the expected calibration error over 15 bins of
    equal width (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        labels: `(rows,)` class indices.
        probabilities: `(rows, classes)`.

    Raises:
        MetricError: no rows, shapes that disagree, labels outside the classes, or
            probabilities that are not finite, negative or do not sum to one.
    """
    true, sound = checked(labels, probabilities)
    counts = confusion(true, sound.argmax(axis=1), sound.shape[1])
    return {
        **{name: float(value) for name, value in from_confusion(counts).items()},
        **{name: float(losses.mean()) for name, losses in row_losses(true, sound).items()},
        "ece": reliability(true, sound).error,
    }


def row_losses(labels: Labels, probabilities: Probabilities) -> dict[str, NDArray[np.float64]]:
    """Log loss and Brier score of each row, `(rows,)`; their means are the metrics."""
    chosen = probabilities[np.arange(len(labels)), labels]
    square = (probabilities**2).sum(axis=1) - 2 * chosen + 1
    return {"log_loss": -np.log(np.clip(chosen, SMALLEST, 1 - SMALLEST)), "brier": square}


def per_class(
    labels: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[str]
) -> pd.DataFrame:
    """Precision, recall and F1 of every class, in the order of `classes`.

    Args:
        labels: `(rows,)` class indices.
        probabilities: `(rows, classes)`.
        classes: Their names.

    Returns:
        A frame of class, precision, recall, f1, support; 0 where a ratio has no rows.

    Raises:
        MetricError: labels or probabilities that cannot be measured, or too few names.
    """
    true, sound = checked(labels, probabilities)
    if len(classes) != sound.shape[1]:
        raise MetricError(
            f"classes: {len(classes)} names for {sound.shape[1]} columns of probabilities; "
            "pass the classes the model was trained on, in its order"
        )
    counts = confusion(true, sound.argmax(axis=1), len(classes))
    precision, recall, f1, support = rates(counts)
    return pd.DataFrame(
        {
            "class": list(classes),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "support": support,
        }
    )
