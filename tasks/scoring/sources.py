"""What a batch reads: files, a query, or any reader, as canonical rows a chunk at a time.

A source can begin anywhere that an earlier run got to (`Cursor`), and says what it is made of
(`identity`), so that a run goes on with the rows it began with or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.config import Choice, ConfigError, Pipeline
from tasks.datasets.places import at_hand
from tasks.scoring.formats import Bad, Piece, Wanted, pieces
from tasks.scoring.listing import FORMATS, File, listed
from tasks.scoring.rows import answerable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)


@dataclass(frozen=True)
class Cursor:
    """Where a source goes on: so many rows of file number so many are done."""

    file: int = 0
    row: int = 0


@dataclass(frozen=True)
class Chunk:
    """Rows in order.

    Attributes:
        rows: Canonical: `row_id`, then `text` or `series`.
        bad: What was no row at all: where it stands, and why.
        after: Where the next chunk begins.
        mark: sha256 of the raw rows, where nothing else vouches for their order.
    """

    rows: pd.DataFrame
    bad: tuple[Bad, ...]
    after: Cursor
    mark: str = ""

    def __len__(self) -> int:
        return len(self.rows) + len(self.bad)


class Source(Protocol):
    """Where the rows of a batch come from."""

    def identity(self) -> dict[str, Any]:
        """What the rows are made of, as plain values; other rows, another identity."""

    def chunks(self, at: Cursor, rows: int) -> Iterator[Chunk]:
        """Rows from a cursor on, at most `rows` a chunk, cut alike wherever one begins."""


def source_of(pipeline: Pipeline, given: str | Choice, until: datetime | None) -> Source:
    """What an input names.

    Args:
        pipeline: Says which column is which, and how its own files are written.
        given: File, folder, `s3://bucket/prefix`, a SELECT over the database of
            `source.reader`, or a reader with its options.
        until: Last instant of the logical date, for readers that ask for one.

    Raises:
        ConfigError: an ending that is none of `FORMATS`, or a query without a database.
        DataError: nothing to read there.
    """
    if isinstance(given, Choice):
        return _of_reader(pipeline, given, until)
    if QUERY.match(given):
        reader = pipeline.source.reader
        if reader.name != "sql":
            raise ConfigError(
                f"input {given[:40]!r}: a query needs the database of the pipeline, and "
                f"source.reader is {reader.name!r}; name a reader in `scoring.input` instead"
            )
        return Query(pipeline, {**reader.options, "query": given}, until)
    return Files(pipeline, listed(given), _options(pipeline))


def _of_reader(pipeline: Pipeline, choice: Choice, until: datetime | None) -> Source:
    options = dict(choice.options)
    if choice.name == "sql":
        return Query(pipeline, options, until)
    if choice.name in FORMATS.values() and "path" in options and not pipeline.columns.step:
        path = str(options.pop("path"))
        return Files(pipeline, listed(path, choice.name), {choice.name: options})
    return Whole(pipeline, choice, until)


def _options(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline's own reader options, by format."""
    reader = pipeline.source.reader
    return {reader.name: {k: v for k, v in reader.options.items() if k != "path"}}


class Files:
    """Files one after the other, each read a bounded number of rows at a time.

    Series stored one row a step are the exception: a file of them is read whole.
    """

    def __init__(
        self, pipeline: Pipeline, files: Sequence[File], options: Mapping[str, Any]
    ) -> None:
        self._pipeline = pipeline
        self._files = files
        self._options = options

    def identity(self) -> dict[str, Any]:
        """Names, sizes and times of the files, in order."""
        return {"files": [[one.address, one.kind, one.stamp] for one in self._files]}

    def chunks(self, at: Cursor, rows: int) -> Iterator[Chunk]:
        """Rows from a cursor on; a chunk holds rows of one file."""
        for number, file in enumerate(self._files[at.file :], at.file):
            done = at.row if number == at.file else 0
            yield from self._of_file(number, file, done, rows)

    def _of_file(self, number: int, file: File, done: int, rows: int) -> Iterator[Chunk]:
        options = dict(self._options.get(file.kind, {}))
        with at_hand(file.address, options.pop("sha256", None)) as path:
            if self._pipeline.columns.step:
                found = _sliced(self._whole(path, file, options), rows)
            else:
                found = self._pieces(path, file, options, rows, done)
            seen, held = 0, None
            name = f"{Path(file.address).name}:" if len(self._files) > 1 else ""
            for frame, bad in found:
                size = len(frame) + len(bad)
                seen += size
                if seen <= done:
                    continue
                if held is not None:
                    yield held
                held = Chunk(frame, _named(bad, name), Cursor(number, seen))
            if held is not None:  # the last of a file: the next run need not open it again
                yield Chunk(held.rows, held.bad, Cursor(number + 1, 0))

    def _pieces(
        self, path: Path, file: File, options: Mapping[str, Any], rows: int, done: int
    ) -> Iterator[tuple[pd.DataFrame, tuple[Bad, ...]]]:
        columns, seen = self._pipeline.columns, 0
        name = f"{Path(file.address).name}:" if len(self._files) > 1 else ""
        for piece in pieces(path, file.kind, columns, options, rows, file.address):
            if seen + len(piece) <= done:  # answered by an earlier run: only counted
                yield _nothing(len(piece)), ()
            else:
                yield answerable(piece, self._pipeline, seen, name)
            seen += len(piece)

    def _whole(self, path: Path, file: File, options: Mapping[str, Any]) -> pd.DataFrame:
        from tasks.datasets.canonical import canonical, table_of

        choice = Choice(name=file.kind, options={**options, "path": str(path)})
        table = table_of(choice, None)
        Wanted.of(self._pipeline.columns, file.address).among(table.column_names)
        return canonical(table, self._pipeline, need_labels=False)


class Query:
    """The rows of a query, streamed; a rerun goes on only where it gives the same rows again."""

    def __init__(
        self, pipeline: Pipeline, options: Mapping[str, Any], until: datetime | None
    ) -> None:
        self._pipeline = pipeline
        self._options = options
        self._until = until

    def identity(self) -> dict[str, Any]:
        """The query as it is written, without what the environment fills in."""
        until = self._until.isoformat() if self._until else None
        return {"query": self._options["query"], "url": self._options["url"], "until": until}

    def chunks(self, at: Cursor, rows: int) -> Iterator[Chunk]:
        """Rows from a cursor on; those before are read again, and only marked."""
        from tasks.datasets.sql import stream_sql

        seen = 0
        for table in stream_sql(self._until, rows=rows, **self._options):
            piece, seen = Piece(table), seen + table.num_rows
            after = Cursor(0, seen)
            if seen <= at.row:
                yield Chunk(_nothing(table.num_rows), (), after, _mark(table))
                continue
            frame, bad = answerable(piece, self._pipeline, seen - table.num_rows)
            yield Chunk(frame, bad, after, _mark(table))


class Whole:
    """What a reader gives in one piece: the generated stream, or series one row a step."""

    def __init__(self, pipeline: Pipeline, choice: Choice, until: datetime | None) -> None:
        self._pipeline = pipeline
        self._choice = choice
        self._until = until

    def identity(self) -> dict[str, Any]:
        """The reader and the date."""
        until = self._until.isoformat() if self._until else None
        return {"reader": self._choice.model_dump(mode="json"), "until": until}

    def chunks(self, at: Cursor, rows: int) -> Iterator[Chunk]:
        """Rows from a cursor on."""
        from tasks.datasets.canonical import canonical, table_of

        table = table_of(self._choice, self._until)
        frame = canonical(table, self._pipeline, need_labels=False)
        for number, (part, bad) in enumerate(_sliced(frame, rows)):
            after = Cursor(0, number * rows + len(part))
            if after.row > at.row:
                yield Chunk(part, bad, after)


def _sliced(frame: pd.DataFrame, rows: int) -> Iterator[tuple[pd.DataFrame, tuple[Bad, ...]]]:
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows].reset_index(drop=True), ()


def _named(bad: Sequence[Bad], file: str) -> tuple[Bad, ...]:
    return tuple((f"{file}{where}", why) for where, why in bad)


def _nothing(rows: int) -> pd.DataFrame:
    """As many rows as were skipped, without content."""
    import pandas as pd

    return pd.DataFrame(index=pd.RangeIndex(rows))


def _mark(table: pa.Table) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
