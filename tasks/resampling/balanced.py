"""What every strategy gives back, and the counting they share.

Errors:
    ResamplingError (ValueError): train rows that a strategy cannot balance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.config import ConfigError
from tasks.ragged import Examples


class ResamplingError(ValueError):
    """Train rows that cannot be balanced as asked; the message says what would help."""


@dataclass(frozen=True)
class Balanced:
    """Train rows after a strategy.

    Attributes:
        examples: The rows to train on.
        weights: `(rows,)` float32 weight of each row in the loss, mean 1; None: all alike.
        notes: What did not go as asked, in words.
    """

    examples: Examples
    weights: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()


Strategy = Callable[..., Balanced]


def counts_of(labels: NDArray[np.int32]) -> dict[int, int]:
    """Rows of each class that has any."""
    present, counts = np.unique(labels, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def growth(counts: Mapping[int, int], ratio: float) -> dict[int, int]:
    """The classes to grow and to how many rows, given a share of the largest class.

    Raises:
        ConfigError: a ratio outside (0, 1].
    """
    _checked_ratio(ratio)
    target = round(ratio * max(counts.values()))
    return {label: target for label, count in counts.items() if count < target}


def shrinkage(counts: Mapping[int, int], ratio: float) -> dict[int, int]:
    """The classes to shrink and to how many rows: the smallest class is this share of them.

    Raises:
        ConfigError: a ratio outside (0, 1].
    """
    _checked_ratio(ratio)
    target = round(min(counts.values()) / ratio)
    return {label: target for label, count in counts.items() if count > target}


def _checked_ratio(ratio: float) -> None:
    if not 0 < ratio <= 1:
        raise ConfigError(f"resampling option 'ratio': must be over 0 and at most 1, got {ratio}")
