"""Are the probabilities true? Reliability, expected calibration error, temperature.

All three after Guo et al. 2017, "On Calibration of Modern Neural Networks"
(https://arxiv.org/abs/1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.inputs import Labels, Probabilities, checked

BINS = 15
TEMPERATURES = (0.05, 20.0)
SMALLEST = float(np.finfo(np.float32).eps)  # models answer in float32: less is rounding


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, in bins of equal width.

    Attributes:
        confidence: `(bins,)` mean probability of the predicted class; NaN in an empty bin.
        accuracy: `(bins,)` share of right predictions; NaN in an empty bin.
        rows: `(bins,)` int64.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    rows: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap, each bin weighted by its rows."""
        filled = self.rows > 0
        gaps = abs(self.accuracy[filled] - self.confidence[filled])
        return float((gaps * self.rows[filled]).sum() / self.rows.sum())


def confidence_bins(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each row, `(rows,)`: bin `b` holds `b / bins < confidence <= (b + 1) / bins`."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def reliability(labels: NDArray[Any], probabilities: NDArray[Any], bins: int = BINS) -> Reliability:
    """How often a model is right when it is this sure.

    Args:
        labels: `(rows,)` class indices.
        probabilities: `(rows, classes)`.
        bins: Bins of equal width between 0 and 1.

    Raises:
        MetricError: labels or probabilities that cannot be measured.
    """
    true, sound = checked(labels, probabilities)
    confidence, right = sound.max(axis=1), sound.argmax(axis=1) == true
    place = confidence_bins(confidence, bins)
    rows = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(place, confidence, bins) / rows,
            np.bincount(place, right, bins) / rows,
            rows,
        )


def temperature(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """The temperature under which these rows are most likely; above 1 the model is too sure.

    Fit it on validation rows, never on the rows it is then judged by.

    Args:
        labels: `(rows,)` class indices.
        probabilities: `(rows, classes)`.

    Raises:
        MetricError: labels or probabilities that cannot be measured.
    """
    from scipy.optimize import minimize_scalar

    true, sound = checked(labels, probabilities)

    def loss(log_temperature: float) -> float:
        chosen = scaled(sound, float(np.exp(log_temperature)))[np.arange(len(true)), true]
        return float(-np.log(np.maximum(chosen, SMALLEST)).mean())

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def scaled(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Probabilities at another temperature, `(rows, classes)`; the order of classes stays.

    A softmax forgets only a constant a row, so `log p / T` serves where logits are not kept.
    """
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def calibration_gaps(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """What each row adds to its bin, `(rows, bins)`: right (1 or 0) less confidence.

    Weighted sums over rows, their absolute values added over bins and divided by the rows,
    give the expected calibration error of any resample.
    """
    confidence = probabilities.max(axis=1)
    gaps = np.zeros((len(labels), BINS))
    right = probabilities.argmax(axis=1) == labels
    gaps[np.arange(len(labels)), confidence_bins(confidence)] = right - confidence
    return gaps
