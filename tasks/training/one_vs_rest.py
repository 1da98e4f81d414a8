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


class Setting(NamedTuple):
    """How a classifier was solved for.

    Attributes:
        strength: Inverse of the penalty.
        sharpness: By what its scores are multiplied before a softmax.
        share: Of the words' length, that of pieces; text only.
    """

    strength: float
    sharpness: float
    share: float = 1.0


class Solved(NamedTuple):
    """A linear classifier, and how it does.

    Attributes:
        coefficients: `(classes, features)` of a softmax; a class without a train row is as good
            as impossible.
        bias: `(classes,)`.
        setting: How it was solved for.
        surprise: Mean log loss that it leaves on the validation rows, in nats.
    """

    coefficients: Floats
    bias: Floats
    setting: Setting
    surprise: float


Estimator = Callable[[float], Any]


def solved(
    known: Any,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    told: Any,
    wanted: NDArray[np.int32],
    *,
    estimator: Estimator,
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
    """
    present = np.unique(labels)
    judged = np.isin(wanted, present)
    places = np.searchsorted(present, wanted[judged])
    found: list[Solved] = []
    for strength in strengths:
        line = _line(estimator(strength), known, labels, weights)
        sharpness, surprise = _sharpness(told[judged] @ line[0].T + line[1], places)
        found.append(Solved(*line, Setting(strength, sharpness), surprise))
    best = min(found, key=lambda each: each.surprise)
    softmax = _softmax(best.coefficients, best.bias, best.setting.sharpness, present, classes)
    return Solved(*softmax, best.setting, best.surprise)


def solved_again(
    known: Any,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    *,
    estimator: Estimator,
    setting: Setting,
    classes: int,
) -> tuple[Floats, Floats]:
    """Coefficients and bias of a softmax as `solved` has them, where the setting is known.

    Args:
        known: Features `(rows, features)`.
        labels: `(rows,)`.
        weights: Of each row, `(rows,)`; None weighs all alike.
        estimator: As for `solved`.
        setting: What other rows chose.
        classes: Number of classes.
    """
    line = _line(estimator(setting.strength), known, labels, weights)
    return _softmax(*line, setting.sharpness, np.unique(labels), classes)


def usual(settings: Sequence[Setting]) -> Setting:
    """What most of them have chosen, as sharp as those are on (the geometric) average."""
    chosen = [(each.strength, each.share) for each in settings]
    most = max(chosen, key=chosen.count)
    sharp = [
        np.log(each.sharpness) for each, own in zip(settings, chosen, strict=True) if own == most
    ]
    return Setting(most[0], float(np.exp(np.mean(sharp))), most[1])


def _line(
    model: Any, known: Any, labels: NDArray[np.int32], weights: NDArray[np.float32] | None
) -> tuple[Floats, Floats]:
    """What a classifier has learnt, of the classes that there are."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as good as a larger penalty
        model.fit(known, labels, sample_weight=weights)
    return _either_side(model.coef_, model.intercept_)


def _softmax(
    coefficients: Floats, bias: Floats, sharpness: float, present: NDArray[Any], classes: int
) -> tuple[Floats, Floats]:
    """A line for every class, so sharp that its softmax is probable."""
    every = np.zeros((classes, coefficients.shape[1])), np.full(classes, IMPOSSIBLE)
    every[0][present], every[1][present] = sharpness * coefficients, sharpness * bias
    return every


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
