"""Index strategies: they look at labels only, so they serve text and series alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.config import ConfigError
from tasks.ragged import Examples
from tasks.resampling.balanced import Balanced, counts_of, growth, shrinkage


def none(examples: Examples, classes: Sequence[str], seed: int) -> Balanced:  # noqa: ARG001
    """The rows as they are."""
    return Balanced(examples)


def class_weights(
    examples: Examples,
    classes: Sequence[str],  # noqa: ARG001
    seed: int,  # noqa: ARG001
    *,
    power: float = 1.0,
) -> Balanced:
    """The rows as they are, rare classes weighing more in the loss.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Not used: nothing is drawn.
        power: 1 makes all classes weigh the same in all; 0.5 goes half the way.
    """
    counts = counts_of(examples.labels)
    of_class = np.zeros(max(counts) + 1)
    of_class[list(counts)] = np.array(list(counts.values()), np.float64) ** -power
    weights = of_class[examples.labels]
    return Balanced(examples, (weights / weights.mean()).astype(np.float32))


def random_over(
    examples: Examples,
    classes: Sequence[str],  # noqa: ARG001
    seed: int,
    *,
    ratio: float = 1.0,
) -> Balanced:
    """Rows of rare classes repeated at random.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        ratio: Rows of each class over those of the largest.
    """
    targets = growth(counts_of(examples.labels), ratio)
    return Balanced(examples.take(grown(examples.labels, targets, seed)))


def capped_over(
    examples: Examples,
    classes: Sequence[str],  # noqa: ARG001
    seed: int,
    *,
    cap: float = 3.0,
) -> Balanced:
    """Rows of rare classes repeated at random, none of them too often.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        cap: Most rows of a class over those it had, so that a model cannot learn few by heart.
    """
    if cap < 1:
        raise ConfigError(f"resampling option 'cap': must be at least 1, got {cap}")
    counts = counts_of(examples.labels)
    full = growth(counts, 1.0)
    targets = {label: min(full[label], int(cap * counts[label])) for label in full}
    return Balanced(examples.take(grown(examples.labels, targets, seed)))


def random_under(
    examples: Examples,
    classes: Sequence[str],  # noqa: ARG001
    seed: int,
    *,
    ratio: float = 1.0,
) -> Balanced:
    """Rows of frequent classes dropped at random.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        ratio: Rows of the smallest class over those of any other.
    """
    from imblearn.under_sampling import RandomUnderSampler

    targets = shrinkage(counts_of(examples.labels), ratio)
    sampler = RandomUnderSampler(sampling_strategy=targets, random_state=seed)
    sampler.fit_resample(_positions(examples.labels), examples.labels)
    return Balanced(examples.take(np.sort(sampler.sample_indices_)))


def grown(labels: NDArray[np.int32], targets: Mapping[int, int], seed: int) -> NDArray[np.int64]:
    """All rows, then those repeated until each class has the number asked for.

    Args:
        labels: `(rows,)` class indices.
        targets: Class to rows, at least as many as it has; others stay as they are.
        seed: Of the drawing.
    """
    from imblearn.over_sampling import RandomOverSampler

    sampler = RandomOverSampler(sampling_strategy=dict(targets), random_state=seed)
    sampler.fit_resample(_positions(labels), labels)
    rows: NDArray[np.int64] = sampler.sample_indices_.astype(np.int64)
    return rows


def _positions(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """A stand-in for the inputs: samplers want a table, and only labels matter."""
    return np.arange(len(labels))[:, None]
