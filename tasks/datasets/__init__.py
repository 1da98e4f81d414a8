"""Where rows come from.

A reader is called as `reader(until, **options)` and gives a `pyarrow.Table`; `until` is the last
instant of the logical date in UTC, which readers of files ignore. Its keyword-only parameters
are the options a pipeline file may set.

A reader that need not hold the whole has a second form in STREAMS, called as
`stream(until, rows=rows, **options)`: it gives the same rows in the same order, as tables of
about so many rows at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tasks.datasets.files import read_csv, read_parquet, stream_csv, stream_parquet
from tasks.datasets.json_lines import read_jsonl, stream_jsonl
from tasks.datasets.sql import read_sql, stream_sql
from tasks.datasets.synthetic import read_synthetic

READERS: dict[str, Callable[..., Any]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "jsonl": read_jsonl,
    "sql": read_sql,
    "synthetic": read_synthetic,
}

STREAMS: dict[str, Callable[..., Iterator[Any]]] = {
    "csv": stream_csv,
    "parquet": stream_parquet,
    "jsonl": stream_jsonl,
    "sql": stream_sql,
}
