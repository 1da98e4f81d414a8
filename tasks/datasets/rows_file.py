"""Canonical rows as Parquet: one order of columns, one type each, read a part at a time.

The digest is over names, types and values, not over bytes of the file: those differ between
library versions and row groups.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc
from pyarrow import parquet, types

from tasks.datasets.contents import arrow, settled
from tasks.datasets.parts import gathered, rows_a_part
from tasks.datasets.series import SERIES_TYPE, as_series, flat

TIME_TYPE = pa.timestamp("us", "UTC")
_TYPES = {"series": SERIES_TYPE, "time": TIME_TYPE}
_ORDER = ("row_id", "label", "text", "series", "time", "group", "split")

Chunks = Callable[[str], Iterator[pa.Array]]


def typed(frame: pd.DataFrame) -> pa.Table:
    """A canonical frame as a table, columns in one order and of one type each."""
    slices = sorted(name for name in frame.columns if name not in _ORDER)
    names = [name for name in (*_ORDER, *slices) if name in frame.columns]
    columns = {name: arrow(frame[name]).cast(_TYPES.get(name, pa.large_string())) for name in names}
    return pa.table(columns)


def framed(table: pa.Table) -> pd.DataFrame:
    """The inverse of `typed`."""
    return pd.DataFrame({name: _pandas(table.column(name)) for name in table.column_names})


class RowsFile:
    """A Parquet file of canonical rows.

    Args:
        path: The file.

    Raises:
        ArrowException, OSError: it is no readable Parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = parquet.ParquetFile(path, memory_map=False)
        self.rows = int(self._file.metadata.num_rows)
        self.names: list[str] = self._file.schema_arrow.names

    @classmethod
    def written(cls, path: Path, tables: Iterable[pa.Table]) -> RowsFile:
        """Write what `typed` or `RowsFile.tables` made, at least one table."""
        writer = None
        try:
            for table in gathered(tables):
                writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
        return cls(path)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows in parts, one part of no rows where there are none."""
        schema = self._file.schema_arrow
        batches = self._file.iter_batches(self._rows_a_part(), columns=columns, use_threads=False)
        first = next(batches, None)
        if first is None:
            names = schema.names if columns is None else columns
            yield pa.schema([schema.field(name) for name in names]).empty_table()
            return
        yield from map(_table, itertools.chain([first], batches))

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """As `tables`, canonical frames; each index counts from 0."""
        return map(framed, self.tables(columns))

    def ids(self) -> Iterator[pa.Array]:
        """The column `row_id`, in the same parts."""
        return self._chunks("row_id")

    def without(self, dropped: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """The rows that are not dropped, `(rows,)`, in the same parts."""
        first = 0
        for table in self.tables():
            stays = ~dropped[first : first + table.num_rows]
            first += table.num_rows
            yield table if stays.all() else table.filter(pa.array(stays))

    def labels_and_newest(self) -> tuple[dict[str, int], str | None]:
        """Rows of each class, and the time of the newest row, ISO 8601."""
        counts: Counter[str] = Counter()
        newest = pd.NaT
        for frame in self.frames([name for name in ("label", "time") if name in self.names]):
            counts.update(frame["label"].dropna().tolist())
            if "time" in frame and frame["time"].notna().any():
                last = frame["time"].max()
                newest = last if pd.isna(newest) else max(newest, last)
        return dict(counts.most_common()), None if pd.isna(newest) else newest.isoformat()

    def digest(self) -> str:
        """sha256 over the content."""
        return _digest(self._file.schema_arrow, self.rows, self._chunks)

    def _chunks(self, name: str) -> Iterator[pa.Array]:
        for table in self.tables([name]):
            yield _whole(table.column(0))

    def _rows_a_part(self) -> int:
        groups = range(self._file.metadata.num_row_groups)
        size = sum(self._file.metadata.row_group(at).total_byte_size for at in groups)
        return rows_a_part(self.rows, size)


def digest_of(table: pa.Table) -> str:
    """sha256 over the content of a table that `typed` made."""
    return _digest(table.schema, table.num_rows, lambda name: iter([_whole(table.column(name))]))


def _digest(schema: pa.Schema, rows: int, chunks: Chunks) -> str:
    """Over names, types and values; the values of a column come piece by piece, several times."""
    hasher = hashlib.sha256(b"nocturne snapshot 1\n")
    for field in schema:
        listed = types.is_list(field.type)
        kind = "series" if listed else str(_TYPES.get(field.name, "text"))
        hasher.update(f"{field.name}\0{kind}\0{rows}\n".encode())
        valid = [one.is_valid().to_numpy(zero_copy_only=False) for one in chunks(field.name)]
        hasher.update(np.packbits(np.concatenate(valid)).tobytes())
        said = _series if listed else _times if types.is_timestamp(field.type) else _texts
        for part in said(partial(chunks, field.name)):
            hasher.update(part)
    return hasher.hexdigest()


def _series(chunks: Callable[[], Iterator[pa.Array]]) -> Iterator[bytes]:
    """Channels of a step, steps of each row, and what they are."""
    widths = (flat(one)[0].shape for one in chunks())
    yield np.int64(next((width for steps, width in widths if steps), 1)).astype("<i8").tobytes()
    for one in chunks():
        yield np.diff(flat(one)[1]).astype("<i8").tobytes()
    for one in chunks():
        yield settled(flat(one)[0]).astype("<f4").tobytes()


def _times(chunks: Callable[[], Iterator[pa.Array]]) -> Iterator[bytes]:
    for one in chunks():
        yield one.cast(pa.int64()).fill_null(0).to_numpy().astype("<i8").tobytes()


def _texts(chunks: Callable[[], Iterator[pa.Array]]) -> Iterator[bytes]:
    """How long each text is, and what they say."""
    for one in chunks():
        text = one.cast(pa.large_string()).fill_null("")
        yield pc.binary_length(text).to_numpy().astype("<i8").tobytes()
    for one in chunks():
        yield _letters(one.cast(pa.large_string()).fill_null(""))


def _letters(texts: pa.Array) -> bytes:
    """All of them one after the other, which is how Arrow holds them."""
    _, offsets, letters = texts.buffers()
    if letters is None or not len(texts):
        return b""
    bounds = np.frombuffer(offsets, np.int64)[texts.offset :]
    return bytes(memoryview(letters)[bounds[0] : bounds[len(texts)]])


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _whole(values: pa.ChunkedArray) -> pa.Array:
    if values.num_chunks == 1:
        return values.chunk(0)
    return values.combine_chunks() if values.num_chunks else pa.array([], values.type)


def _pandas(values: pa.ChunkedArray) -> pd.Series:
    if types.is_list(values.type):
        return as_series(values)
    if types.is_timestamp(values.type):
        times: pd.Series = values.to_pandas()
        return times
    return pd.Series(values.to_pandas(), dtype="str")
