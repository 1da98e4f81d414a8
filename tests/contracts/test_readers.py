"""What every reader promises: the same rows, however they are kept."""

import inspect
import json
import sqlite3
from datetime import UTC, date, datetime

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tasks.config import Choice, ConfigError, Pipeline
from tasks.datasets import READERS
from tasks.datasets.canonical import canonical, end_of, table_of
from tasks.datasets.errors import DataError
from tasks.datasets.reading import read

UNTIL = end_of(date(2026, 3, 1))
ROWS = [
    {"id": 1, "text": 'plain, with "quotes"', "topic": "a", "at": "2026-02-27T08:00:00Z", "n": 1.5},
    {"id": 2, "text": "two\nlines", "topic": "b", "at": "2026-02-28T08:00:00Z", "n": None},
    {"id": 3, "text": None, "topic": "a", "at": "2026-03-01T08:00:00Z", "n": -2.0},
    {"id": 4, "text": "Müller, 北京 🚂", "topic": None, "at": "2026-03-02T08:00:00Z", "n": 0.0},
]


def _as_csv(folder):
    pd.DataFrame(ROWS).to_csv(folder / "rows.csv", index=False)
    return {"path": str(folder / "rows.csv")}


def _as_parquet(folder):
    parquet.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")
    return {"path": str(folder / "rows.parquet")}


def _as_jsonl(folder):
    lines = (json.dumps(row, ensure_ascii=False) for row in ROWS)
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return {"path": str(folder / "rows.jsonl")}


def _as_sql(folder):
    connection = sqlite3.connect(folder / "rows.db")
    pd.DataFrame(ROWS).to_sql("tickets", connection, index=False)
    connection.close()
    return {"url": f"sqlite:///{folder / 'rows.db'}", "query": "SELECT * FROM tickets ORDER BY id"}


KEPT_AS = {"csv": _as_csv, "parquet": _as_parquet, "jsonl": _as_jsonl, "sql": _as_sql}
STORED = sorted(set(READERS) - {"synthetic"})


def _pipeline(name, options, **columns):
    columns = {"id": "id", "text": "text", "label": "topic", "time": "at"} | columns
    return Pipeline.model_validate(
        {
            "name": "trial",
            "source": {"reader": {"name": name, "options": options}},
            "columns": columns,
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        }
    )


@pytest.mark.parametrize("name", STORED)
def test_the_same_rows_make_the_same_frame_whatever_keeps_them(name, tmp_path):
    pipeline = _pipeline(name, KEPT_AS[name](tmp_path))
    expected = canonical(pa.Table.from_pylist(ROWS[:3]), pipeline)
    pd.testing.assert_frame_equal(read(pipeline, date(2026, 3, 1)), expected)


@pytest.mark.parametrize("name", STORED)
def test_rows_after_the_logical_date_wait_for_their_night(name, tmp_path):
    pipeline = _pipeline(name, KEPT_AS[name](tmp_path))
    assert read(pipeline, date(2026, 2, 28))["row_id"].tolist() == ["1", "2"]
    assert read(pipeline, date(2026, 3, 2))["row_id"].tolist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_reader_takes_a_date_and_then_options_by_name(name):
    first, *options = inspect.signature(READERS[name]).parameters.values()
    assert first.name == "until"
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    assert READERS[name].__doc__


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ConfigError, match="unknown option 'paht'"):
        table_of(Choice(name=name, options={"paht": "x"}), UNTIL)


@pytest.mark.parametrize("name", STORED)
def test_a_required_option_that_is_missing_is_named(name):
    with pytest.raises(ConfigError, match=rf"reader '{name}': option '\w+' is required"):
        table_of(Choice(name=name), UNTIL)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_missing_file_is_named_in_full(name, tmp_path):
    with pytest.raises(DataError, match=r"/nowhere/rows: no such file"):
        table_of(Choice(name=name, options={"path": "/nowhere/rows"}), UNTIL)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_file_of_no_bytes_is_refused(name, tmp_path):
    (tmp_path / "rows").write_bytes(b"")
    with pytest.raises(DataError, match=r"the file is empty \(0 bytes\)"):
        table_of(Choice(name=name, options={"path": str(tmp_path / "rows")}), UNTIL)


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    (tmp_path / "rows").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(DataError, match="cannot be read"):
        table_of(Choice(name=name, options={"path": str(tmp_path / "rows")}), UNTIL)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_pinned_digest_that_does_not_fit_is_refused_with_both(name, tmp_path):
    options = KEPT_AS[name](tmp_path) | {"sha256": "0" * 64}
    with pytest.raises(DataError, match=rf"its sha256 is [0-9a-f]{{64}}, and {'0' * 64} is pinned"):
        table_of(Choice(name=name, options=options), UNTIL)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_place_that_is_not_read_is_refused(name):
    with pytest.raises(DataError, match="ftp:// is not read"):
        table_of(Choice(name=name, options={"path": "ftp://host/rows"}), UNTIL)


def test_the_synthetic_stream_ends_with_the_logical_date():
    table = table_of(Choice(name="synthetic", options={"days": 3}), UNTIL)
    times = table.column("created_at").to_pylist()
    assert min(times) >= datetime(2026, 2, 27, tzinfo=UTC)
    assert max(times) <= UNTIL
