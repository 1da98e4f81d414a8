"""A first look at a source of any size: at all of it where it is small, else at some of its inputs.

Of a large one every n-th row is kept as it was read, to guess from which part a column plays. Then
the rows of every n-th different input are, by a hash of it: copies of an input are all there or
none is, so that the shares of duplicates, of conflicts and of different texts are those of the
whole. What must be exact (rows, classes, gaps, the newest time) is counted over all rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks import progress
from tasks.config import Pipeline
from tasks.datasets.contents import fingerprints, input_name, numbers, plain
from tasks.datasets.profile import Profile
from tasks.datasets.reading import frames

MOST_ROWS, MOST_BYTES = 250_000, 256 << 20  # of which twice as many are still looked at whole
LEAST_ROWS = 10_000  # however long they are
TOLD_ROWS = 200_000  # that take some seconds


@dataclass
class Counted:
    """What was counted over all rows of a source.

    Attributes:
        rows: All of them.
        labels: Rows of each label.
        gaps: Rows without a value, of each canonical column.
        newest: The last time, if any.
    """

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    newest: pd.Timestamp | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Count a part of the source."""
        self.rows += len(frame)
        self.labels.update({str(k): int(n) for k, n in frame["label"].value_counts().items()})
        self.gaps.update({str(name): int(gaps) for name, gaps in frame.isna().sum().items()})
        if "time" in frame and frame["time"].notna().any():
            last = frame["time"].max()
            self.newest = last if self.newest is None else max(self.newest, last)

    def told(self, seen: Profile, looked_at: Profile) -> Profile:
        """A profile of all rows, from one of those that were looked at.

        Args:
            seen: Of rows that were looked at, all or without duplicates.
            looked_at: Of all that were.
        """
        if looked_at.rows == self.rows:
            return seen
        kept, times = (rows / max(looked_at.rows, 1) for rows in (seen.rows, self.rows))
        whole = {name: rows for name, rows, _ in looked_at.classes}
        share = {name: rows / whole[name] for name, rows, _ in seen.classes}
        sizes = {name: round(share.get(name, 1.0) * n) for name, n in self.labels.most_common()}
        known = sum(sizes.values())
        return replace(
            seen,
            rows=round(kept * self.rows),
            classes=tuple((name, rows, rows / known) for name, rows in sizes.items()),
            estimated=True,
            nulls={name: rows for name, rows in self.gaps.items() if rows},
            duplicates=round(times * seen.duplicates),
            conflicts=round(times * seen.conflicts),
        )


def thinned(tables: Iterable[pa.Table]) -> tuple[pa.Table, int]:
    """Every n-th row of a table that comes in parts, and n; all rows where they are not many."""
    kept: list[pa.Table] = []
    every, seen, held = 1, 0, 0
    for table in tables:
        part = table.take(np.arange(-seen % every, table.num_rows, every)) if every > 1 else table
        kept, seen, held = [*kept, part], seen + table.num_rows, held + part.num_rows
        _tell(seen)
        while held > LEAST_ROWS and (
            held > 2 * MOST_ROWS or sum(one.nbytes for one in kept) > 2 * MOST_BYTES
        ):
            whole = pa.concat_tables(kept, promote_options="permissive")
            kept = [whole.take(np.arange(0, held, 2))]
            every, held = 2 * every, kept[0].num_rows
    return pa.concat_tables(kept, promote_options="permissive"), every


def look_at(pipeline: Pipeline, every: int) -> tuple[pd.DataFrame, Counted]:
    """The rows of every n-th different input, canonical, and what was counted over all rows.

    Args:
        pipeline: Its source and columns.
        every: n; fewer where that gives too few rows.

    Raises:
        DataError: as `reading.frames` does.
    """
    counted, kept = Counted(), []
    for frame in frames(pipeline, date.max):
        counted.add(frame)
        of_input = numbers(plain(pd.Series(fingerprints(frame[input_name(frame)]))))
        kept.append(frame[(of_input % every == 0) & (of_input > 0)])
        _tell(counted.rows)
    found = pd.concat(kept, ignore_index=True)
    if every > 1 and len(found) < min(LEAST_ROWS, counted.rows):
        return look_at(pipeline, every * len(found) // LEAST_ROWS or 1)
    return found, counted


def _tell(rows: int) -> None:
    if rows > TOLD_ROWS:
        progress.report("look", rows, None, "rows")
