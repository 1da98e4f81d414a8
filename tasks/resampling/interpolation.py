"""What the dense strategies share: small classes, new rows between neighbours, cleaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tasks.config import ConfigError
from tasks.misfits import unknown
from tasks.ragged import Examples
from tasks.resampling.balanced import Balanced, ResamplingError, counts_of, growth
from tasks.resampling.flattening import flattened, synthetic
from tasks.resampling.index import grown

TooSmall = Literal["random_over", "skip", "error"]
NOTHING_TO_DO = ("No samples will be generated", "Not any neigbours belong")


@dataclass(frozen=True)
class Asked:
    """The options that all dense strategies have.

    Attributes:
        k_neighbors: Neighbours of the same class to choose from.
        ratio: Rows of each class over those of the largest.
        too_small: What becomes of a class with at most `k_neighbors` rows.

    Raises:
        ConfigError: an option that does not fit.
    """

    k_neighbors: int
    ratio: float
    too_small: TooSmall

    def __post_init__(self) -> None:
        if self.k_neighbors < 1:
            raise ConfigError(
                f"resampling option 'k_neighbors': must be at least 1, got {self.k_neighbors}"
            )
        if self.too_small not in get_args(TooSmall):
            raise ConfigError(unknown("too_small", self.too_small, get_args(TooSmall)))


def grown_between(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    asked: Asked,
    build: Callable[..., Any],
) -> Balanced:
    """Rows of too small classes as asked, then new rows of the other rare classes.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        asked: The options that all dense strategies have.
        build: Makes imbalanced-learn's sampler, given its `sampling_strategy`.

    Raises:
        ResamplingError: a class too small, and `too_small` says `error`.
    """
    counts = counts_of(examples.labels)
    targets = growth(counts, asked.ratio)
    small = {label: n for label, n in targets.items() if counts[label] <= asked.k_neighbors}
    notes = _notes_on_small(small, counts, classes, asked)
    if small and asked.too_small == "random_over":
        examples = examples.take(grown(examples.labels, small, seed))
    targets = {label: n for label, n in targets.items() if label not in small}
    return _interpolated(examples, targets, classes, build, notes)


def cleaned(grown_rows: Balanced, classes: Sequence[str], sampler: Any) -> Balanced:
    """The rows that imbalanced-learn's cleaning keeps; a class is never cleaned away whole.

    Args:
        grown_rows: Train rows with the new ones.
        classes: Names of the classes.
        sampler: An under-sampler that knows `sample_indices_`.
    """
    examples = grown_rows.examples
    sampler.fit_resample(flattened(examples.inputs), examples.labels)
    kept = np.zeros(len(examples), bool)
    kept[sampler.sample_indices_] = True
    notes = list(grown_rows.notes)
    for label in sorted(counts_of(examples.labels)):
        of_class = examples.labels == label
        if not kept[of_class].any():
            kept |= of_class
            notes.append(f"class {classes[label]!r}: kept whole, the cleaning would have left none")
    return Balanced(examples.take(np.flatnonzero(kept)), notes=tuple(notes))


def _notes_on_small(
    small: Mapping[int, int], counts: Mapping[int, int], classes: Sequence[str], asked: Asked
) -> tuple[str, ...]:
    needs = f"{asked.k_neighbors} neighbours need {asked.k_neighbors + 1} rows of a class"
    found = [f"class {classes[label]!r} has {counts[label]}" for label in sorted(small)]
    if small and asked.too_small == "error":
        raise ResamplingError(
            f"resampling: {needs}; {', '.join(found)}; lower k_neighbors or set too_small to "
            "random_over or skip"
        )
    done = "rows repeated instead" if asked.too_small == "random_over" else "left as it is"
    return tuple(f"{needs}; {line}: {done}" for line in found)


def _interpolated(
    base: Examples,
    targets: Mapping[int, int],
    classes: Sequence[str],
    build: Callable[..., Any],
    notes: tuple[str, ...],
) -> Balanced:
    """New rows class by class, so that trouble with one leaves the others alone."""
    table = flattened(base.inputs)
    parts = [base]
    for label, target in targets.items():
        why = "none of its rows is near another class"
        rows = table[:0]
        try:
            sampler = build(sampling_strategy={label: target})
            rows = sampler.fit_resample(table, base.labels)[0][len(table) :]
        except (ValueError, RuntimeError) as error:
            if not str(error).startswith(NOTHING_TO_DO):
                raise
            why = str(error)
        if len(rows):
            parts.append(synthetic(rows, label, base.inputs))
        else:
            notes += (f"class {classes[label]!r}: no new rows; {why}",)
    return Balanced(Examples.joined(parts), notes=notes)
