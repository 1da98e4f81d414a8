"""Readers of files: CSV and Parquet, here, on S3 or over https; JSON Lines in `json_lines`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.datasets.errors import DataError
from tasks.datasets.parts import rows_a_part
from tasks.datasets.places import at_hand
from tasks.misfits import unknown

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 16 << 20


def read_csv(
    until: datetime | None,
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

    blocks = stream_csv(
        until, rows=0, path=path, sha256=sha256, delimiter=delimiter, encoding=encoding,
        header=header, as_text=as_text,
    )  # fmt: skip
    return pa.concat_tables(blocks)


def stream_csv(
    until: datetime | None,  # noqa: ARG001
    *,
    rows: int,  # noqa: ARG001 - a file is cut where its blocks end
    path: str,
    sha256: str | None = None,
    delimiter: str = ",",
    encoding: str = "utf8",
    header: bool = True,
    as_text: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """As `read_csv`, a block of the file at a time; raises as it does.

    Columns that look like text at once are settled; all others are read whole to guess their
    types, and held while that is done.
    """
    from pyarrow import csv

    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        read = csv.ReadOptions(
            block_size=BLOCK_BYTES, encoding=encoding, autogenerate_column_names=not header
        )
        parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        types = _guessed(file, read, parse, path, as_text)
        blocks = csv.open_csv(file, read, parse, csv.ConvertOptions(column_types=types))
        nothing = True
        for block in blocks:
            nothing = False
            yield empty_cells_as_null(_table(block))
        if nothing:
            yield blocks.schema.empty_table()


def _guessed(
    file: Path, read: Any, parse: Any, path: str, as_text: Sequence[str]
) -> dict[str, pa.DataType]:
    """The type of each column of a CSV file that fits all of its rows."""
    import pyarrow as pa
    from pyarrow import csv

    settled = {name: pa.string() for name in as_text}
    first = csv.open_csv(file, read, parse, csv.ConvertOptions(column_types=settled)).schema
    missing = sorted(set(as_text) - set(first.names))
    if missing:
        raise DataError(f"{path}: as_text: " + unknown("column", missing[0], first.names))
    open_ones = [field.name for field in first if not pa.types.is_string(field.type)]
    if not open_ones or file.stat().st_size <= BLOCK_BYTES:
        return dict(zip(first.names, first.types, strict=True))
    convert = csv.ConvertOptions(include_columns=open_ones)
    whole = csv.read_csv(file, read, parse, convert).schema
    fields = [*zip(first.names, first.types, strict=True)]
    return dict([*fields, *zip(whole.names, whole.types, strict=True)])


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


def stream_parquet(
    until: datetime | None,  # noqa: ARG001
    *,
    rows: int,
    path: str,
    sha256: str | None = None,
) -> Iterator[pa.Table]:
    """As `read_parquet`, some rows of a row group at a time; raises as it does."""
    from pyarrow import dataset

    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        folders = dataset.HivePartitioning.discover(infer_dictionary=True)
        partitioning = folders if file.is_dir() else None
        source = dataset.dataset(file, format="parquet", partitioning=partitioning)
        most = _rows(source, rows)
        nothing = True
        for fragment in source.get_fragments():
            for group in fragment.split_by_row_group():
                for batch in _batches(group, source.schema, most):
                    nothing = False
                    yield _table(batch)
        if nothing:
            yield source.schema.empty_table()


def _batches(group: Any, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """A row group without reading ahead, which would hold several."""
    from pyarrow import dataset

    options = dataset.ParquetFragmentScanOptions(pre_buffer=False)
    batches: Iterator[pa.RecordBatch] = group.to_batches(
        schema=schema,
        batch_size=rows,
        batch_readahead=0,
        use_threads=False,
        fragment_scan_options=options,
    )
    return batches


def _rows(source: Any, most: int) -> int:
    """Rows of a part, fewer where those of the first file are long."""
    for fragment in source.get_fragments():
        groups = fragment.row_groups
        size = sum(group.total_byte_size for group in groups)
        return min(most, rows_a_part(sum(group.num_rows for group in groups), size))
    return most


def _table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


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
