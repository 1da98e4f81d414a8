"""How sure a metric is: bootstrap intervals of a model, of two models' difference; Wilson's."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.bootstrap import Draws, confusion_draws, paired_confusion_draws, row_draws
from tasks.evaluation.confusion import CONFUSION_METRICS, confusion
from tasks.evaluation.inputs import checked
from tasks.evaluation.metrics import METRICS, score
from tasks.references import Measured


def intervals(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    *,
    samples: int = 1_000,
    confidence: float = 0.95,
    seed: int = 0,
    metrics: Iterable[str] = METRICS,
) -> dict[str, Measured]:
    """Each metric with its stratified bootstrap interval.

    Percentile intervals, stretched to hold the value itself. Resampling can only raise a
    calibration error, so for `ece` the percentiles are mirrored at the value.

    Args:
        labels: `(rows,)` class indices.
        probabilities: `(rows, classes)`.
        samples: Resamples behind each interval.
        confidence: Level of the intervals.
        seed: Of the resampling.
        metrics: Any of `METRICS`.

    Raises:
        MetricError: labels or probabilities that cannot be measured.
    """
    true, sound = checked(labels, probabilities)
    values, wanted = score(true, sound), tuple(metrics)
    counts = confusion(true, sound.argmax(axis=1), sound.shape[1])
    draws = confusion_draws(counts, samples, np.random.default_rng(seed))
    if not set(wanted) <= set(CONFUSION_METRICS):
        draws |= row_draws(true, sound, samples, np.random.default_rng(seed))
    found = {name: _interval(values[name], draws[name], confidence) for name in wanted}
    if "ece" in found:
        found["ece"] = _mirrored(found["ece"])
    return found


def differences(
    labels: NDArray[Any],
    challenger: NDArray[Any],
    champion: NDArray[Any],
    *,
    samples: int = 1_000,
    confidence: float = 0.95,
    seed: int = 0,
    metrics: Iterable[str] = METRICS,
) -> dict[str, Measured]:
    """Each metric of the challenger less the champion's, both resampled on the same rows.

    Args:
        labels: `(rows,)` class indices.
        challenger: `(rows, classes)` probabilities.
        champion: `(rows, classes)` probabilities.
        samples: Resamples behind each interval.
        confidence: Level of the intervals.
        seed: Of the resampling.
        metrics: Any of `METRICS`.

    Raises:
        MetricError: labels or probabilities that cannot be measured.
    """
    true, ours = checked(labels, challenger)
    _, theirs = checked(labels, champion)
    wanted = tuple(metrics)
    first, second = paired_confusion_draws(
        true,
        ours.argmax(axis=1),
        theirs.argmax(axis=1),
        ours.shape[1],
        samples=samples,
        rng=np.random.default_rng(seed),
    )
    if not set(wanted) <= set(CONFUSION_METRICS):
        first |= row_draws(true, ours, samples, np.random.default_rng(seed))
        second |= row_draws(true, theirs, samples, np.random.default_rng(seed))
    left, right = score(true, ours), score(true, theirs)
    return {
        name: _interval(left[name] - right[name], first[name] - second[name], confidence)
        for name in wanted
    }


def wilson(hits: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share; honest for few rows and for 0 or all hits.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953; (0, 1) without rows.
    """
    if not rows:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = hits / rows, z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * np.sqrt(share * (1 - share) / rows + spread / (4 * rows))
    return max(0.0, min(share, float(middle - reach))), min(1.0, max(share, float(middle + reach)))


def _interval(value: float, draws: Draws, confidence: float) -> Measured:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Measured(value=value, low=float(min(low, value)), high=float(max(high, value)))


def _mirrored(measured: Measured) -> Measured:
    value = measured.value
    low, high = 2 * value - measured.high, 2 * value - measured.low
    return Measured(value=value, low=max(0.0, low), high=min(1.0, high))
