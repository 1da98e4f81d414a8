"""Files of answers: csv, parquet or jsonl, appended to frame by frame, whole or not there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.scoring.listing import format_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Writer = Callable[["pd.DataFrame"], None]


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A function that appends frames to a file, which appears under its name when all is done.

    Raises:
        ConfigError: an ending that is no format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    opened = {"csv": _csv, "parquet": _parquet, "jsonl": _jsonl}[format_of(str(path))]
    try:
        with opened(partial) as write:
            yield write
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def join(parts: Sequence[Path], path: Path) -> None:
    """One file with the rows of all parts, which are of its format; whole or not there.

    Args:
        parts: At least one.
        path: Replaced where it exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        if format_of(str(path)) == "parquet":
            _join_parquet(parts, partial)
        else:
            _join_lines(parts, partial, headers=format_of(str(path)) == "csv")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _join_parquet(parts: Sequence[Path], path: Path) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(path, parquet.read_schema(parts[0])) as out:
        for part in parts:
            rows = parquet.ParquetFile(part)
            for group in range(rows.num_row_groups):
                out.write_table(rows.read_row_group(group))


def _join_lines(parts: Sequence[Path], path: Path, *, headers: bool) -> None:
    with path.open("wb") as out:
        for number, part in enumerate(parts):
            with part.open("rb") as lines:
                if headers and number:
                    lines.readline()
                shutil.copyfileobj(lines, out)


@contextmanager
def _csv(path: Path) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8", newline="") as file:
        started = False

        def write(frame: pd.DataFrame) -> None:
            nonlocal started
            frame.to_csv(
                file, header=not started, index=False, quoting=csv.QUOTE_MINIMAL,
                lineterminator="\n",
            )  # fmt: skip
            started = True

        yield write


@contextmanager
def _jsonl(path: Path) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda frame: frame.to_json(file, orient="records", lines=True, double_precision=15)


@contextmanager
def _parquet(path: Path) -> Iterator[Writer]:
    import pyarrow as pa
    from pyarrow import parquet

    with ExitStack() as files:
        opened: dict[str, parquet.ParquetWriter] = {}

        def write(frame: pd.DataFrame) -> None:
            table: pa.Table = pa.Table.from_pandas(frame, preserve_index=False)
            if not opened:
                opened["it"] = files.enter_context(parquet.ParquetWriter(path, table.schema))
            opened["it"].write_table(table)

        yield write
