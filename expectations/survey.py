"""All rows looked at once, part by part: what Great Expectations says, and what is held of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.audit import audit
from expectations.facts import Facts
from expectations.inputs import input_problem
from expectations.joining import COUNTING, Joined, by_part, columns_of
from expectations.rows import Parts
from expectations.suites import Evaluation, evaluate
from expectations.terms import Terms
from expectations.twins import Columns, Twins

Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Survey:
    """What is known of rows that are too many to be held.

    Attributes:
        parts: The rows.
        terms: The contract.
        twins: How they repeat and contradict each other.
        facts: What is held of each, `expectations.facts`.
        columns: Of the audit frame.
        problem: Why the input cannot be read, or None.
        evaluation: What Great Expectations said.
    """

    parts: Parts
    terms: Terms
    twins: Twins
    facts: pd.DataFrame
    columns: tuple[str, ...]
    problem: str | None
    evaluation: Evaluation

    def details(self, positions: NDArray[np.int64]) -> pd.DataFrame:
        """The audit frame of some rows, their positions as its index."""
        found: list[pd.DataFrame] = []
        first = 0
        for frame, columns in zip(self.parts(), self.twins.cut(), strict=True):
            low, high = np.searchsorted(positions, [first, first + len(frame)])
            if low < high or not found:
                here = positions[low:high] - first
                found.append(self._audited(frame, here, columns).set_axis(positions[low:high]))
            first += len(frame)
        return pd.concat(found)

    def _audited(
        self, frame: pd.DataFrame, here: NDArray[np.int64], columns: Columns
    ) -> pd.DataFrame:
        """Some rows of a part; what is odd in a series is seen beside the others of its part."""
        if self.terms.kind == "numeric":
            return audit(frame, self.terms, columns).iloc[here]
        some = {name: values[here] for name, values in columns.items()}
        return audit(frame.iloc[here], self.terms, some)


def survey(parts: Parts, terms: Terms, asked: Entries) -> Survey:
    """Look at all rows.

    Args:
        parts: Canonical rows, in the order of their ids where they are several parts.
        terms: The contract.
        asked: Entries of the suite.

    Raises:
        SuiteError: an entry that Great Expectations would not evaluate.
    """
    twins = Twins.of(parts, terms)
    whole = [] if len(twins.sizes) == 1 else [at for at, e in enumerate(asked) if not by_part(e)]
    each = [at for at in range(len(asked)) if at not in whole]
    joined, facts, columns = Joined(asked, "contract"), Facts(terms), _Asked(asked, whole)
    names: tuple[str, ...] = ()
    for part in _audited(parts, terms, twins):
        names = tuple(part.columns)
        joined.add(evaluate(part, [asked[at] for at in each], "contract"), each)
        facts.add(part)
        columns.add(part)
    held = facts.frame()
    for places, frame in columns.frames(held):
        joined.add(evaluate(frame, [asked[at] for at in places], "contract"), places)
    problem = input_problem(next(parts()), terms)
    return Survey(parts, terms, twins, held, names, problem, joined.evaluation())


def _audited(parts: Parts, terms: Terms, twins: Twins) -> Iterator[pd.DataFrame]:
    first = 0
    for frame, columns in zip(parts(), twins.cut(), strict=True):
        yield audit(frame, terms, columns, first)
        first += len(frame)


class _Asked:
    """The columns that expectations of the whole table name.

    Those that are only counted are held as hashes, 8 bytes a row; others as they are.
    """

    def __init__(self, asked: Entries, whole: Sequence[int]) -> None:
        self._asked = asked
        self._counting = [at for at in whole if asked[at]["type"] in COUNTING]
        self._others = [at for at in whole if at not in self._counting]
        self._held: dict[bool, list[pd.DataFrame]] = {True: [], False: []}

    def add(self, part: pd.DataFrame) -> None:
        """Keep them of a part."""
        for counting, places in ((True, self._counting), (False, self._others)):
            names = set().union(*(columns_of(self._asked[at]) for at in places)) - {"label"}
            some = part[[name for name in part.columns if name in names]]
            self._held[counting].append(some.apply(_hashed) if counting else some)

    def frames(self, facts: pd.DataFrame) -> Iterator[tuple[list[int], pd.DataFrame]]:
        """Which expectations are to be asked of which frame."""
        for counting, places in ((True, self._counting), (False, self._others)):
            if places:
                frame = pd.concat(self._held.pop(counting), ignore_index=True)
                yield places, frame.assign(label=facts["label"]) if "label" in facts else frame


def _hashed(values: pd.Series) -> pd.Series:
    """Another number for each value; missing ones stay missing."""
    hashes = pd.util.hash_array(values.to_numpy(object), categorize=False)
    return pd.Series(hashes, values.index, dtype="UInt64").mask(values.isna())
