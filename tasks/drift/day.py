"""A day's live inputs against the reference rows of the version that answered them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.drift.accuracy import Estimated, estimated
from tasks.drift.looks import confidence, features
from tasks.drift.permutation import compare
from tasks.drift.words import moved_words, said
from tasks.references import Moved

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Judged:
    """What a day looks like.

    Attributes:
        moved: Every feature that could be compared, the likeliest to have moved first.
        accuracy: By confidence; None where the reference has no labels.
    """

    moved: tuple[Moved, ...]
    accuracy: Estimated | None

    @property
    def smallest(self) -> float:
        """The smallest probability among the features, counted for their number; 1 without any."""
        return min((one.among for one in self.moved), default=1.0)


def judged(
    day: pa.Table,
    reference: pa.Table,
    *,
    channels: Sequence[str] = (),
    permutations: int,
    seed: int,
) -> Judged:
    """Compare a day with the reference.

    Args:
        day: Logged rows, at least one; the columns of `live_inputs.schema`.
        reference: Reference rows, at least one; the same columns and `truth`.
        channels: Names of a series' channels.
        permutations: Reshufflings.
        seed: Of the reshufflings.
    """
    looked = features(day, reference, channels)
    rows = day.num_rows, reference.num_rows
    found = compare(looked, *rows, permutations=permutations, seed=seed)
    moved = [
        Moved(
            feature=one.name,
            statistic=one.statistic,
            usual=one.usual,
            alone=one.alone,
            among=one.among,
            said=said(feature, day.num_rows),
        )
        for feature, one in zip(looked, found, strict=True)
    ]
    named = [_with_words(one, day, reference) for one in moved]
    order = sorted(named, key=lambda one: (one.among, one.alone, -one.statistic / (one.usual or 1)))
    return Judged(tuple(order), _accuracy(day, reference))


def _with_words(moved: Moved, day: pa.Table, reference: pa.Table) -> Moved:
    if moved.feature != "words":
        return moved
    texts = (table.column("text").to_pylist() for table in (day, reference))
    return moved.model_copy(update={"said": moved_words(*texts)})


def _accuracy(day: pa.Table, reference: pa.Table) -> Estimated | None:
    truth = np.asarray(reference.column("truth").to_pylist(), object)
    known = np.array([label is not None for label in truth])
    if not known.any():
        return None
    right = np.asarray(reference.column("label").to_pylist(), object) == truth
    return estimated(confidence(reference)[known], right[known], confidence(day))


def commonest(versions: Iterable[str]) -> str | None:
    """The version that answered most rows; the later of equals; None without rows."""
    counts = Counter(versions)
    return max(counts, key=lambda name: (counts[name], len(name), name), default=None)


def thinned(table: pa.Table, most: int, seed: int) -> pa.Table:
    """At most so many rows, drawn at random, in their order."""
    import pyarrow as pa

    if table.num_rows <= most:
        return table
    chosen = np.random.default_rng(seed).permutation(table.num_rows)[:most]
    return table.take(pa.array(np.sort(chosen)))
