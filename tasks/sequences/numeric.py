"""From numeric series to scaled steps with a presence channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Preprocessing, resolve
from tasks.ragged import InputSpec, Ragged
from tasks.sequences import SCALERS
from tasks.sequences.series import steps_of

LARGEST = 1e12  # a scaled value beyond it is cut there, so that its cube is a float32


class NumericPreprocessor:
    """Series to `(steps, size)` float32: channels, missing indicators, presence.

    A missing value (null, NaN or infinite) becomes 0 after scaling. Each channel that missed
    a value in the train rows has an indicator channel, 1 where its value is missing. The last
    channel is presence: 1 at every real step.

    Args:
        center: Subtracted from each channel, `(channels,)`.
        scale: Divides each channel, `(channels,)`.
        indicated: Channels with an indicator.
        max_length: Series are cut to this many steps.
    """

    def __init__(
        self,
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
        indicated: tuple[int, ...],
        max_length: int,
    ) -> None:
        self._center = center
        self._scale = scale
        self._indicated = indicated
        self._max_length = max_length
        self.spec = InputSpec("numeric", len(center) + len(indicated) + 1)

    @classmethod
    def fit(
        cls, preprocessing: Preprocessing, frames: Iterable[pd.DataFrame]
    ) -> NumericPreprocessor:
        """Learn the scaling from train rows, of the steps that models will see; all are held.

        Args:
            preprocessing: Scaling and greatest length.
            frames: Train rows with the column `series`, in one part or several.

        Raises:
            ConfigError: an unknown scaler.
            ValueError: no step at all, or rows whose channels differ.
        """
        scaler = resolve(SCALERS, preprocessing.scaling, "scaler")
        parts: list[NDArray[Any]] = []
        rows = 0
        for frame in frames:
            channels = next((part.shape[1] for part in parts if part.size), None)
            steps = steps_of(frame, channels).cut(preprocessing.max_length)
            parts.append(steps.values)
            rows += len(steps)
        some = [part for part in parts if part.size]
        if not some:
            raise ValueError(f"scaling: needs at least one step; the {rows} rows have none")
        values = np.concatenate(some).astype(np.float64)
        missing = np.isnan(values)
        values[:, missing.all(axis=0)] = 0
        center, scale = scaler(values)
        indicated = tuple(np.flatnonzero(missing.any(axis=0)).tolist())
        return cls(center, scale, indicated, preprocessing.max_length)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> NumericPreprocessor:
        """The inverse of `to_json`."""
        center, scale = (np.array(state[name], np.float64) for name in ("center", "scale"))
        return cls(center, scale, tuple(state["indicated"]), state["max_length"])

    def to_json(self) -> dict[str, Any]:
        """Everything needed to encode the same way again."""
        return {
            "kind": "numeric",
            "max_length": self._max_length,
            "center": self._center.tolist(),
            "scale": self._scale.tolist(),
            "indicated": list(self._indicated),
        }

    def encode(self, frame: pd.DataFrame) -> Ragged:
        """Scaled steps of each row, at most `max_length` a row.

        Args:
            frame: Rows with the column `series`; a missing series has length 0.

        Returns:
            float32 values, `(steps, size)`, finite.

        Raises:
            ValueError: channels that differ from the train rows', naming the row.
        """
        rows = steps_of(frame, len(self._center)).cut(self._max_length)
        scaled = (rows.values - self._center) / self._scale
        missing = np.isnan(scaled)
        steps = np.empty((len(scaled), self.spec.size), np.float32)
        channels = len(self._center)
        steps[:, :channels] = np.clip(np.where(missing, 0, scaled), -LARGEST, LARGEST)
        steps[:, channels:-1] = missing[:, list(self._indicated)]
        steps[:, -1] = 1
        return Ragged(steps, rows.offsets)
