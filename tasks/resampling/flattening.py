"""Series as one table of numbers for imbalanced-learn, and its new rows back as series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged

Table = NDArray[np.float32]


def flattened(inputs: Ragged) -> Table:
    """Padded to the longest row and flattened, `(rows, time * channels)` float32."""
    return inputs.padded().reshape(len(inputs), -1).astype(np.float32, copy=False)


def synthetic(rows: Table, label: int, inputs: Ragged) -> Examples:
    """New series from interpolated rows.

    A new row lies between two series: it gets the length of the nearer one (presence of at
    least a half), and a step that only one of them has gets that one's values, not a mix with
    padding. Channels that hold nothing but 0 and 1, presence and indicators, stay so.

    Args:
        rows: `(rows, time * channels)` float32, made by imbalanced-learn.
        label: The class of all of them.
        inputs: The series they were made from.
    """
    channels = inputs.values.shape[-1]
    dense = rows.reshape(len(rows), -1, channels)
    presence = dense[..., -1]
    kept = presence >= 0.5
    steps = dense[kept] / presence[kept][:, None]
    binary = ((inputs.values == 0) | (inputs.values == 1)).all(axis=0)
    steps[:, binary] = steps[:, binary].round()
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    names = np.array([f"synthetic-{label}-{number}" for number in range(len(rows))])
    labels = np.full(len(rows), label, np.int32)
    return Examples(Ragged(steps.astype(np.float32), offsets), labels, names)
