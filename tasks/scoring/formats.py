"""Files of rows, read a bounded number of rows at a time; a line that is no row is a bad row.

Text and ids are read as they are written, whatever a column looks like on the whole: a part of
a file must be read as the whole would be, and an id `007` stays one.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config import Columns
from tasks.datasets.errors import DataError
from tasks.datasets.files import empty_cells_as_null, explained, refuse_empty

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 << 20
Bad = tuple[str, str]


@dataclass(frozen=True)
class Piece:
    """Some rows of a file in order.

    Attributes:
        table: Raw rows under the source's own column names.
        bad: Which lines were no rows, and why.
    """

    table: pa.Table
    bad: tuple[Bad, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows) + len(self.bad)


def pieces(
    file: Path, kind: str, columns: Columns, options: Mapping[str, Any], rows: int, place: str
) -> Iterator[Piece]:
    """A file's rows, `rows` at a time but for the last.

    Args:
        file: Local.
        kind: csv, parquet or jsonl.
        columns: Only the id and the input are read.
        options: Of the pipeline's own reader: delimiter, encoding, header, as_text.
        rows: Of a piece.
        place: What messages call the file.

    Raises:
        DataError: no such file, an empty one, one that is not what its ending says, or one
            without an input column.
    """
    with explained(place):
        refuse_empty(file, place)
        yield from _KINDS[kind](file, Wanted.of(columns, place), options, rows)


@dataclass(frozen=True)
class Wanted:
    """The columns that scoring reads of a file.

    Attributes:
        inputs: They must be there.
        names: The id, which need not be, and the inputs.
        place: What messages call the file.
        numbers: Those of which each value is a number.
    """

    inputs: tuple[str, ...]
    names: tuple[str, ...]
    place: str
    numbers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, columns: Columns, place: str) -> Wanted:
        """Those that a pipeline names."""
        inputs = columns.inputs
        names = (columns.id, *inputs) if columns.id else inputs
        return cls(inputs, names, place, numbers=frozenset(columns.wide))

    def among(self, there: Sequence[str]) -> list[str]:
        """Those that a file has.

        Raises:
            DataError: an input is missing.
        """
        missing = next((name for name in self.inputs if name not in there), None)
        if missing is not None:
            raise DataError(
                f"{self.place}: has no column {missing!r}, the input that the pipeline's "
                f"`columns` names; there are: {', '.join(there) or 'none'}; rename one"
            )
        return [name for name in self.names if name in there]


def _parquet(file: Path, wanted: Wanted, options: Mapping[str, Any], rows: int) -> Iterator[Piece]:
    del options
    import pyarrow as pa
    from pyarrow import parquet

    opened = parquet.ParquetFile(file)
    known = wanted.among(opened.schema_arrow.names)
    batches = opened.iter_batches(batch_size=rows, columns=known)
    yield from _cut((pa.Table.from_batches([batch]) for batch in batches), rows)


def _csv(file: Path, wanted: Wanted, options: Mapping[str, Any], rows: int) -> Iterator[Piece]:
    import pyarrow as pa
    from pyarrow import csv

    bad: list[Bad] = []

    def note(row: Any) -> str:
        bad.append((f"row {row.number}", _columns_differ(row)))
        return "skip"

    header = bool(options.get("header", True))
    read = csv.ReadOptions(
        block_size=BLOCK_BYTES,
        encoding=options.get("encoding", "utf8"),
        use_threads=False,
        autogenerate_column_names=not header,
    )
    parse = {"delimiter": options.get("delimiter", ","), "newlines_in_values": True}
    first = csv.open_csv(
        file, read, csv.ParseOptions(**parse, invalid_row_handler=lambda _: "skip")
    )
    known = wanted.among(first.schema.names)
    convert = csv.ConvertOptions(
        check_utf8=False,
        column_types=dict.fromkeys(known, pa.binary()),
        include_columns=known,
    )
    reader = csv.open_csv(file, read, csv.ParseOptions(**parse, invalid_row_handler=note), convert)
    tables = (pa.Table.from_batches([batch]) for batch in reader)
    for number, piece in enumerate(_cut(tables, rows)):
        yield _as_text(piece.table, number * rows + (2 if header else 1))
    if bad:  # only now, so that it does not matter how far ahead the file was read
        yield Piece(_texts(reader.schema.empty_table()), tuple(bad))


def _columns_differ(row: Any) -> str:
    return f"the line has {row.actual_columns} columns, the header {row.expected_columns}"


def _as_text(table: pa.Table, first: int) -> Piece:
    """Bytes as text; a row that is no UTF-8 is a bad one, called by its number in the file."""
    import pyarrow as pa

    try:
        return Piece(empty_cells_as_null(_texts(table)))
    except pa.ArrowInvalid:
        fine = [all(_legible(value) for value in row.values()) for row in table.to_pylist()]
    bad = tuple(
        (f"row {first + at}", "the line is no valid UTF-8")
        for at, good in enumerate(fine)
        if not good
    )
    return Piece(empty_cells_as_null(_texts(table.filter(pa.array(fine)))), bad)


def _texts(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    types = [pa.string() if field.type == pa.binary() else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def _legible(value: Any) -> bool:
    try:
        return not isinstance(value, bytes) or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _jsonl(file: Path, wanted: Wanted, options: Mapping[str, Any], rows: int) -> Iterator[Piece]:
    del options
    with file.open("rb") as lines:
        number = 1
        while some := list(itertools.islice(lines, rows)):
            yield _objects(some, wanted, number)
            number += len(some)


def _objects(lines: Sequence[bytes], wanted: Wanted, number: int) -> Piece:
    """Arrow reads all lines at once; where it cannot, each is looked at by itself."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    content = b"".join(lines)
    if not content.strip():
        return Piece(pa.table({name: pa.nulls(0) for name in wanted.names}))
    try:
        table = arrow_json.read_json(
            io.BytesIO(content), arrow_json.ReadOptions(block_size=len(content) + 1)
        )
        if table.num_rows == sum(bool(line.strip()) for line in lines):
            return Piece(table.select(wanted.among(table.column_names)))
    except pa.ArrowException:
        pass
    return _one_by_one(lines, wanted, number)


def _one_by_one(lines: Sequence[bytes], wanted: Wanted, number: int) -> Piece:
    import pyarrow as pa

    names = wanted.names
    found: list[dict[str, Any]] = []
    bad: list[Bad] = []
    for at, line in enumerate(lines, number):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise TypeError
        except (ValueError, TypeError, RecursionError):
            bad.append((f"row {at}", "the line is no JSON object"))
            continue
        wrong = next((n for n in names if not _fits(row.get(n), n in wanted.numbers)), None)
        if wrong is None:
            found.append({name: _plain(row.get(name)) for name in names})
        else:
            said = type(row[wrong]).__name__
            rule = "a number" if wrong in wanted.numbers else "text or a series"
            bad.append((f"row {at}", f"{wrong} must be {rule}, and it is {said}"))
    table = {name: pa.array([row[name] for row in found], _type(found, name)) for name in names}
    return Piece(pa.table(table), tuple(bad))


def _fits(value: Any, number: bool) -> bool:  # noqa: FBT001
    if number:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if isinstance(value, list):
        return all(each is None or isinstance(each, int | float | list) for each in value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


def _type(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    import pyarrow as pa

    values = [row[name] for row in rows if row[name] is not None]
    if not any(isinstance(value, list) for value in values):
        return pa.string()
    nested = any(isinstance(each, list) for value in values for each in value)
    return pa.list_(pa.list_(pa.float64())) if nested else pa.list_(pa.float64())


def _cut(tables: Iterator[pa.Table], rows: int) -> Iterator[Piece]:
    """The same rows in pieces of one size, but for the last."""
    import pyarrow as pa

    held: list[Any] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(held)
            yield Piece(whole.slice(0, rows))
            held, count = [whole.slice(rows)], count - rows
    if count:
        yield Piece(pa.concat_tables(held))


_KINDS = {"csv": _csv, "parquet": _parquet, "jsonl": _jsonl}
