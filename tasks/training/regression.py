"""Logistic regressions that are solved to their optimum, for the members that no gradient moves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def solved(
    known: Any,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    told: Any,
    wanted: NDArray[np.int32],
    *,
    strengths: Sequence[float],
    classes: int,
) -> tuple[Floats, Floats]:
    """The regression whose penalty leaves the validation rows least surprising.

    Args:
        known: Features `(rows, features)` of the train rows, sparse or dense.
        labels: `(rows,)`.
        weights: Of each train row, `(rows,)`; None weighs all alike.
        told: Features of the validation rows.
        wanted: Labels of the validation rows.
        strengths: Inverse penalties to try.
        classes: Number of classes.

    Returns:
        Coefficients `(classes, features)` and biases `(classes,)`; a class without a train row
        is as good as impossible.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found, least = None, np.inf
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # as good as a larger penalty
            model.fit(known, labels, sample_weight=weights)
        places = np.searchsorted(model.classes_, wanted).clip(0, len(model.classes_) - 1)
        chosen = model.predict_proba(told)[np.arange(len(wanted)), places]
        surprise = -np.log(np.maximum(chosen, 1e-7)).mean()
        if surprise < least:
            found, least = model, surprise
    return _of_every_class(found, classes)


def _of_every_class(model: Any, classes: int) -> tuple[Floats, Floats]:
    """Coefficients and biases of all classes, those of two classes halved to either side."""
    coefficients = np.zeros((classes, model.coef_.shape[1]))
    bias = np.full(classes, -30.0)
    if len(model.classes_) == 2:
        coefficients[model.classes_] = np.concatenate([-model.coef_, model.coef_]) / 2
        bias[model.classes_] = np.concatenate([-model.intercept_, model.intercept_]) / 2
    else:
        coefficients[model.classes_] = model.coef_
        bias[model.classes_] = model.intercept_
    return coefficients, bias
