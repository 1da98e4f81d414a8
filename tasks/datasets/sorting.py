"""Rows in the order of a key, sorted on disk where they are more than a piece of memory.

Sorted runs are written to files and merged a batch at a time (Knuth, *The Art of Computer
Programming*, volume 3, section 5.4), so that memory holds one run, or a batch of each.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import ipc

BYTES_A_RUN = 64 << 20
ROWS_A_BATCH = 8_192


class Sorter:
    """Tables in, in any order; the same rows out, in the order of a column of text, the key.

    Rows with one key keep the order in which they came. The last run stays in memory, so that
    few rows never touch the disk.

    Args:
        folder: Where runs are written.
        key: Name of the column, without nulls.
    """

    def __init__(self, folder: Path, key: str = "row_id") -> None:
        self._folder, self._key = folder, key
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._runs: list[Path] = []

    def add(self, table: pa.Table) -> None:
        """Take rows; every table has the same columns."""
        self._held.append(table)
        self._bytes += table.nbytes
        if self._bytes >= BYTES_A_RUN:
            path = self._folder / f"run-{len(self._runs)}.arrow"
            run = self._sorted_held()
            options = ipc.IpcWriteOptions(compression="lz4")
            with ipc.new_file(path, run.schema, options=options) as file:
                file.write_table(run, max_chunksize=ROWS_A_BATCH)
            self._runs.append(path)

    def merged(self) -> Iterator[pa.Table]:
        """All rows once, a batch or so at a time; those of one key are never in two tables.

        Nothing at all where no table came.
        """
        runs = [_Run.of_file(path, self._key) for path in self._runs]
        if self._held:
            runs.append(_Run.of_table(self._sorted_held(), self._key))
        while waiting := [run for run in runs if run.more]:
            border = min(run.last for run in waiting)
            yield _in_order([run.before(border) for run in runs], self._key)
            for run in waiting:
                if run.last == border:
                    run.refill()
        if runs:
            yield _in_order([run.head for run in runs], self._key)

    def _sorted_held(self) -> pa.Table:
        held = pa.concat_tables(self._held)
        self._held, self._bytes = [], 0
        return held.take(pc.sort_indices(held, [(self._key, "ascending")]))


class _Run:
    """A sorted run, of which `head` is in memory.

    Args:
        batches: How many there are.
        batch: Gives one by its number.
        schema: Of all of them.
        key: What they are sorted by.
    """

    def __init__(
        self, batches: int, batch: Callable[[int], pa.RecordBatch], schema: pa.Schema, key: str
    ) -> None:
        self._batches, self._batch, self._next, self._key = batches, batch, 0, key
        self.head = schema.empty_table()
        if batches:
            self.refill()

    @classmethod
    def of_file(cls, path: Path, key: str) -> _Run:
        file = ipc.open_file(pa.OSFile(str(path)))
        return cls(file.num_record_batches, file.get_batch, file.schema, key)

    @classmethod
    def of_table(cls, table: pa.Table, key: str) -> _Run:
        batches = table.to_batches(max_chunksize=ROWS_A_BATCH)
        return cls(len(batches), batches.__getitem__, table.schema, key)

    @property
    def more(self) -> bool:
        """Whether there are rows after the head; a head then has rows, too."""
        return self._next < self._batches

    @property
    def last(self) -> str:
        """The greatest key of the head."""
        return str(self.head.column(self._key)[-1])

    def before(self, border: str) -> pa.Table:
        """The rows of the head whose keys are smaller; they leave it."""
        keys = self.head.column(self._key)
        at = bisect.bisect_left(range(len(keys)), border, key=lambda row: keys[row].as_py())
        before, self.head = self.head.slice(0, at), self.head.slice(at)
        return before

    def refill(self) -> None:
        """Read the next batch behind what is left of the head."""
        batch = pa.Table.from_batches([self._batch(self._next)])
        self.head = pa.concat_tables([self.head, batch])
        self._next += 1


def _in_order(tables: list[pa.Table], key: str) -> pa.Table:
    some = [table for table in tables if table.num_rows] or tables[:1]
    if len(some) == 1:
        return some[0]
    table = pa.concat_tables(some)
    return table.take(pc.sort_indices(table, [(key, "ascending")]))
