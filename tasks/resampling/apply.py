"""One strategy applied to train rows, with the counts before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.config import Choice, ConfigError, Kind, resolve
from tasks.ragged import Examples, InputSpec
from tasks.resampling import DENSE, STRATEGIES
from tasks.resampling.balanced import ResamplingError, Strategy, counts_of


@dataclass(frozen=True)
class Resampled:
    """Train rows after resampling.

    Attributes:
        examples: The rows to train on.
        weights: `(rows,)` float32 weight of each row in the loss, mean 1; None: all alike.
        before: Class to rows, every class in order.
        after: Class to rows, every class in order.
        notes: What did not go as asked, in words.
    """

    @property
    def changes(self) -> str:
        """Which classes have another number of rows now, in words; empty where none has."""
        changed = [name for name in self.before if self.before[name] != self.after[name]]
        return ", ".join(f"{name} {self.before[name]} to {self.after[name]}" for name in changed)

    examples: Examples
    weights: NDArray[np.float32] | None
    before: dict[str, int]
    after: dict[str, int]
    notes: tuple[str, ...]


def refuse(choice: Choice, kind: Kind) -> None:
    """Refuse strategies that make no sense for this kind of input.

    Raises:
        ConfigError: a dense strategy on text.
    """
    if kind == "text" and choice.name in DENSE:
        raise ConfigError(
            f"resampling {choice.name!r}: makes rows by interpolating numbers, and between the "
            "ids of two words lies the id of an unrelated word, so it would invent nonsense "
            "texts; use random_over, capped_over or class_weights on text"
        )


def resample(
    examples: Examples,
    choice: Choice,
    classes: Sequence[str],
    spec: InputSpec,
    *,
    seed: int,
    table: Mapping[str, Strategy] = STRATEGIES,
) -> Resampled:
    """Balance train rows; never show it a validation or test row.

    Args:
        examples: Encoded train rows; they are left as they are.
        choice: Entry of the table and its options.
        classes: Names of the classes, in the order of the labels.
        spec: What the rows were encoded to.
        seed: The same seed, the same rows.
        table: The strategies there are.

    Raises:
        ConfigError: an unknown strategy or option, or a dense strategy on text.
        ResamplingError: rows of one class only, or a class too small where that is an error.
    """
    strategy = resolve(table, choice, "resampling strategy")
    refuse(choice, "text" if spec.kind == "text" else "numeric")
    if choice.name != "none" and len(counts_of(examples.labels)) < 2:
        raise ResamplingError(
            f"resampling {choice.name!r}: needs rows of at least two classes, got "
            f"{_counts(examples, classes)}; look at the split, or use the strategy none"
        )
    result = strategy(examples, classes, seed)
    before, after = _counts(examples, classes), _counts(result.examples, classes)
    return Resampled(result.examples, result.weights, before, after, result.notes)


def _counts(examples: Examples, classes: Sequence[str]) -> dict[str, int]:
    counts = counts_of(examples.labels)
    return {name: counts.get(label, 0) for label, name in enumerate(classes)}
