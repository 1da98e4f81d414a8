"""Readers of files: CSV, Parquet and JSON Lines, here, on S3 or over https."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.datasets.errors import DataError
from tasks.datasets.places import at_hand
from tasks.misfits import unknown

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST_BLOCK_BYTES = (1 << 31) - 1


def read_csv(
    until: datetime | None,  # noqa: ARG001 - files are whole; the logical date cuts later
    *,
    path: str,
    sha256: str | None = None,
    delimiter: str = ",",
    encoding: str = "utf8",
    header: bool = True,
    as_text: Sequence[str] = (),
) -> pa.Table:
    """Rows of a CSV file; types are guessed from the whole file.

    Args:
        until: Ignored.
        path: Local path, `s3://bucket/key` or `https://...`.
        sha256: Digest of the file, checked where given; required for https.
        delimiter: One character between columns.
        encoding: Of the file.
        header: Whether the first line names the columns; else they are f0, f1 and so on.
        as_text: Columns that stay text, such as ids with leading zeros.

    Returns:
        A table; empty cells are null.

    Raises:
        DataError: no such file, an empty one, or rows that do not fit the header.
    """
    import pyarrow as pa
    from pyarrow import csv

    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        table = csv.read_csv(
            file,
            # one block: guessing types from the first megabyte fails on what comes later
            csv.ReadOptions(
                block_size=_block_bytes(file),
                encoding=encoding,
                autogenerate_column_names=not header,
            ),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            csv.ConvertOptions(column_types={name: pa.string() for name in as_text}),
        )
    missing = sorted(set(as_text) - set(table.column_names))
    if missing:
        raise DataError(f"{path}: as_text: " + unknown("column", missing[0], table.column_names))
    return empty_cells_as_null(table)


def read_parquet(
    until: datetime | None,  # noqa: ARG001
    *,
    path: str,
    sha256: str | None = None,
) -> pa.Table:
    """Rows of a Parquet file, or of all Parquet files below a local folder.

    Args:
        until: Ignored.
        path: Local path, `s3://bucket/key` or `https://...`.
        sha256: Digest of the file, checked where given; required for https.

    Raises:
        DataError: no such file, or not Parquet.
    """
    from pyarrow import parquet

    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        return parquet.read_table(file, memory_map=False)


def read_jsonl(
    until: datetime | None,  # noqa: ARG001
    *,
    path: str,
    sha256: str | None = None,
) -> pa.Table:
    """Rows of a JSON Lines file: one object a line, a key a column.

    Args:
        until: Ignored.
        path: Local path, `s3://bucket/key` or `https://...`.
        sha256: Digest of the file, checked where given; required for https.

    Raises:
        DataError: no such file, an empty one, a line that is no object, or a key whose values
            differ in type.
    """
    from pyarrow import json

    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        with file.open("rb") as lines:
            if lines.read(64).lstrip().startswith(b"["):
                raise DataError(f"{path}: is one JSON array; write one object a line, without it")
        options = json.ReadOptions(block_size=_block_bytes(file))
        return json.read_json(file, options, json.ParseOptions(newlines_in_values=False))


def _block_bytes(file: Path) -> int:
    return min(file.stat().st_size + 1, _LARGEST_BLOCK_BYTES)


def refuse_empty(file: Path, path: str) -> None:
    """No bytes at all are a broken export, not a table without rows."""
    if file.is_file() and file.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes); see whether its export failed")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """What Arrow and the operating system say of a file, as a `DataError` that names it."""
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, LookupError, UnicodeError) as error:
        first = _legible(str(error).partition("\n")[0])[:300]
        raise DataError(f"{path}: cannot be read: {first}; mend the file or the options") from None


def _legible(said: str) -> str:
    """What Arrow says quotes the rows, which need not be text."""
    return "".join(each if each.isprintable() and each != "\ufffd" else "·" for each in said)


def empty_cells_as_null(table: pa.Table) -> pa.Table:
    """CSV cannot tell an empty text from none, so both are none."""
    import pyarrow as pa
    from pyarrow import compute as pc

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(at)
            filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, field.type), column)
            table = table.set_column(at, field, filled)
    return table
