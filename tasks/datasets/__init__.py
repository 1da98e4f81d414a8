"""Where rows come from.

A reader is called as `reader(until, **options)` and gives a `pyarrow.Table`; `until` is the last
instant of the logical date in UTC, which readers of files ignore. Its keyword-only parameters
are the options a pipeline file may set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.datasets.files import read_csv, read_jsonl, read_parquet
from tasks.datasets.sql import read_sql
from tasks.datasets.synthetic import read_synthetic

READERS: dict[str, Callable[..., Any]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "jsonl": read_jsonl,
    "sql": read_sql,
    "synthetic": read_synthetic,
}
