"""Linear classifiers solved to their optimum, one class against the rest; no gradient moves them.

Their scores are no probabilities. A softmax as sharp as suits the validation rows makes them so
(Guo et al. 2017, https://arxiv.org/abs/1706.04599); each of those rows is taken to be a little of
every other class too, so that a few that are all right make nothing certain (after Platt 1999,
Probabilistic Outputs for Support Vector Machines).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
IMPOSSIBLE = -30.0  # score of a class that no row teaches
SHARPEST = 20.0  # and its inverse the least sharp


class Solved(NamedTuple):
    """A linear classifier, and how it does.

    Attributes:
        coefficients: `(classes, features)` of a softmax.
        bias: `(classes,)`.
        strength: Inverse of the penalty that it was solved with.
        surprise: Mean log loss that it leaves on the validation rows, in nats.
    """

    coefficients: Floats
    bias: Floats
    strength: float
    surprise: float


def solved(
    known: Any,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    told: Any,
    wanted: NDArray[np.int32],
    *,
    estimator: Callable[[float], Any],
    strengths: Sequence[float],
    classes: int,
) -> Solved:
    """The classifier whose strength leaves the validation rows least surprising.

    Args:
        known: Features `(rows, features)` of the train rows, sparse or dense.
        labels: `(rows,)`.
        weights: Of each train row, `(rows,)`; None weighs all alike.
        told: Features of the validation rows.
        wanted: Labels of the validation rows.
        estimator: From a strength to a linear classifier of scikit-learn, not yet fitted.
        strengths: Those to try.
        classes: Number of classes.

    Returns:
        The best of them; a class without a train row is as good as impossible.
    """
    from sklearn.exceptions import ConvergenceWarning

    present = np.unique(labels)
    judged = np.isin(wanted, present)
    places = np.searchsorted(present, wanted[judged])
    best = Solved(np.zeros((len(present), known.shape[1])), np.zeros(len(present)), 0.0, np.inf)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # as good as a larger penalty
            model = estimator(strength).fit(known, labels, sample_weight=weights)
        coefficients, bias = _either_side(model.coef_, model.intercept_)
        sharpness, surprise = _sharpness(told[judged] @ coefficients.T + bias, places)
        if surprise < best.surprise:
            best = Solved(sharpness * coefficients, sharpness * bias, strength, surprise)
    coefficients, bias = np.zeros((classes, known.shape[1])), np.full(classes, IMPOSSIBLE)
    coefficients[present], bias[present] = best.coefficients, best.bias
    return best._replace(coefficients=coefficients, bias=bias)


def _either_side(coefficients: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Those of two classes, of which scikit-learn has one line, halved to either side."""
    coefficients = np.atleast_2d(coefficients)  # a ridge's line of two classes is a vector
    if len(coefficients) > 1:
        return coefficients, bias
    halves = np.array([[-0.5], [0.5]])
    return halves * coefficients, halves[:, 0] * bias


def _sharpness(scores: Floats, places: NDArray[np.int64]) -> tuple[float, float]:
    """By what to multiply scores before a softmax, and the mean surprise that is left then."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows, classes = scores.shape
    doubt = 1 / (rows + 2)
    targets = np.full(scores.shape, doubt / (classes - 1))
    targets[np.arange(rows), places] = 1 - doubt

    def surprise(log_sharpness: float) -> float:
        said = log_softmax(np.exp(log_sharpness) * scores, axis=1)
        return float(-(targets * said).sum() / max(rows, 1))

    widest = np.log(SHARPEST)
    best = minimize_scalar(surprise, bounds=(-widest, widest), method="bounded")
    return float(np.exp(best.x)), float(best.fun)
