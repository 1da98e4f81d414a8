"""Metrics of resampled rows: a stratified bootstrap without touching a row where that is exact.

Each resample draws rows with replacement inside every true class, so that a rare class never
vanishes from it. For what follows from the confusion counts, drawing rows is the same as one
multinomial draw a class, whatever the number of rows; of two models on the same rows, one draw
of the pairs of answers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.calibration import calibration_gaps
from tasks.evaluation.confusion import CONFUSION_METRICS, Counts, from_confusion
from tasks.evaluation.inputs import Labels, Probabilities
from tasks.evaluation.metrics import row_losses

Draws = NDArray[np.float64]

AT_ONCE = 2_000_000  # numbers held for one part of the resamples: 16 MB


def confusion_draws(counts: Counts, samples: int, rng: np.random.Generator) -> dict[str, Draws]:
    """Each confusion metric of resamples, `(samples,)`.

    Args:
        counts: `(classes, classes)`, true class down.
        samples: Resamples.
        rng: Drawn from.
    """
    parts = []
    for size in _sizes(samples, counts.size):
        drawn = np.zeros((size, *counts.shape), np.int64)
        for true in np.flatnonzero(counts.sum(axis=1)):
            drawn[:, true] = _multinomial(counts[true], size, rng)
        parts.append(from_confusion(drawn))
    return _joined(parts)


def paired_confusion_draws(
    labels: Labels,
    first: Labels,
    second: Labels,
    classes: int,
    *,
    samples: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Draws], dict[str, Draws]]:
    """The same of two models' predictions `(rows,)`, resampled together."""
    strata = {
        true: np.unique(
            np.column_stack([first, second])[labels == true], axis=0, return_counts=True
        )
        for true in np.unique(labels)
    }
    one_hot = np.eye(classes, dtype=np.int64)
    ours, theirs = [], []
    for size in _sizes(samples, 2 * classes**2):
        drawn = np.zeros((2, size, classes, classes), np.int64)
        for true, (pairs, counts) in strata.items():
            weights = _multinomial(counts, size, rng)
            drawn[0, :, true] = weights @ one_hot[pairs[:, 0]]
            drawn[1, :, true] = weights @ one_hot[pairs[:, 1]]
        ours.append(from_confusion(drawn[0]))
        theirs.append(from_confusion(drawn[1]))
    return _joined(ours), _joined(theirs)


def row_draws(
    labels: Labels, probabilities: Probabilities, samples: int, rng: np.random.Generator
) -> dict[str, Draws]:
    """Log loss, Brier and calibration error of resampled rows, `(samples,)`.

    The draws depend on the labels and `rng` only: two models given the same seed are resampled
    together.
    """
    losses = row_losses(labels, probabilities)
    columns = np.column_stack([*losses.values(), calibration_gaps(labels, probabilities)])
    columns = columns[np.argsort(labels, kind="stable")]
    sizes = np.unique(labels, return_counts=True)[1].tolist()
    sums = np.concatenate([weights @ columns for weights in _weights(sizes, samples, rng)])
    means = sums / len(labels)
    drawn = {name: means[:, column] for column, name in enumerate(losses)}
    return {**drawn, "ece": abs(means[:, len(losses) :]).sum(axis=1)}


def _weights(sizes: list[int], samples: int, rng: np.random.Generator) -> Iterator[Draws]:
    """How often each row is drawn, `(some samples, rows)`, for rows sorted by class."""
    rows = sum(sizes)
    starts = np.cumsum([0, *sizes[:-1]])
    for size in _sizes(samples, rows):
        weights = np.empty((size, rows))
        for one in weights:
            drawn = [
                rng.integers(start, start + own, own)
                for start, own in zip(starts, sizes, strict=True)
            ]
            one[:] = np.bincount(np.concatenate(drawn), minlength=rows)
        yield weights


def _multinomial(counts: Counts, size: int, rng: np.random.Generator) -> Counts:
    return rng.multinomial(counts.sum(), counts / counts.sum(), size=size)


def _sizes(samples: int, numbers_a_sample: int) -> Iterator[int]:
    """Samples cut into parts whose numbers fit in memory however many rows or classes."""
    step = max(1, AT_ONCE // numbers_a_sample)
    for first in range(0, samples, step):
        yield min(step, samples - first)


def _joined(parts: list[dict[str, Draws]]) -> dict[str, Draws]:
    return {name: np.concatenate([part[name] for part in parts]) for name in CONFUSION_METRICS}
