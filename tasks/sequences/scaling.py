"""Scalers of numeric channels: from train steps to one centre and one scale a channel.

Missing values are NaN and are ignored; each channel has at least one value. A constant channel
gets scale 1, so that it becomes 0 and never a division by nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Scaler = Callable[[Values], tuple[Values, Values]]


def standard(values: Values) -> tuple[Values, Values]:
    """Mean and standard deviation.

    Args:
        values: `(steps, channels)`, NaN where missing.

    Returns:
        Centre and scale, `(channels,)` each.
    """
    return _safe(np.nanmean(values, axis=0), np.nanstd(values, axis=0))


def robust(values: Values) -> tuple[Values, Values]:
    """Median and distance of the quartiles, which a few extreme values do not move.

    Where the quartiles are equal the standard deviation takes their place.

    Args:
        values: `(steps, channels)`, NaN where missing.

    Returns:
        Centre and scale, `(channels,)` each.
    """
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    return _safe(middle, np.where(high > low, high - low, np.nanstd(values, axis=0)))


def none(values: Values) -> tuple[Values, Values]:
    """Leaves the values as they are.

    Args:
        values: `(steps, channels)`.

    Returns:
        Zeros and ones, `(channels,)` each.
    """
    return np.zeros(values.shape[1]), np.ones(values.shape[1])


def _safe(center: Values, scale: Values) -> tuple[Values, Values]:
    """Rounding leaves a constant channel a spread of about 1e-16 of its size: that is none."""
    usable = scale > 1e-12 * np.maximum(np.abs(center), 1e-12)
    return center, np.where(usable, scale, 1.0)
