"""Batches of rows of like length, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHORTEST = 4


def bucket_length(longest: int) -> int:
    """The length to pad a batch to: few distinct ones, at most a quarter above the need.

    Multiples of 4 up to 32, of 8 up to 64, of 16 up to 128 and so on, so that compiled shapes
    stay few; under 16 steps the waste is at most 3 steps.

    Args:
        longest: Steps of the batch's longest row.
    """
    longest = max(longest, 1)
    step = max(SHORTEST, (1 << (longest - 1).bit_length()) // 8)
    return -(-longest // step) * step


def bucketed(
    lengths: NDArray[np.int64],
    batch_size: int,
    *,
    seed: int,
    shuffle: bool,
    max_steps: int | None = None,
) -> list[NDArray[np.int64]]:
    """Which rows form each batch; every row is in exactly one.

    Rows are ordered by the length they would be padded to and cut into batches, so at most
    one batch is smaller than the others (with `max_steps`: one a length). Shuffled, rows of
    one padded length trade places, the small batch is anywhere, and batches come in any order.

    Args:
        lengths: Steps of each row, `(rows,)`.
        batch_size: Most rows in a batch.
        seed: Of the shuffling; the same seed, the same batches.
        shuffle: False keeps rows of one padded length, and batches, in order.
        max_steps: Most steps in a batch, padding counted, so that a few very long rows do not
            need all memory at once; a row longer than that has a batch of its own.

    Returns:
        Row indices of each batch.
    """
    if not len(lengths):
        return []
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    kinds, inverse = np.unique(lengths[rows], return_inverse=True)
    padded = np.array([bucket_length(int(length)) for length in kinds])[inverse]
    order = np.argsort(padded, kind="stable")
    sizes = _sizes(padded[order], batch_size, max_steps)
    if shuffle and max_steps is None:
        sizes = generator.permutation(sizes).tolist()
    batches = np.split(rows[order], np.cumsum(sizes)[:-1])
    sequence = generator.permutation(len(batches)) if shuffle else range(len(batches))
    return [batches[number] for number in sequence]


def _sizes(padded: NDArray[np.int64], batch_size: int, max_steps: int | None) -> list[int]:
    """Rows of each batch, given the padded lengths in ascending order."""
    sizes: list[int] = []
    first = 0
    while first < len(padded):
        size = min(batch_size, len(padded) - first)
        if max_steps is not None:
            fits = padded[first : first + size] * np.arange(1, size + 1) <= max_steps
            size = max(1, int(fits.sum()))
        sizes.append(size)
        first += size
    return sizes
