import sqlite3
from datetime import date

import pytest

from tasks.datasets.canonical import end_of
from tasks.datasets.errors import DataError
from tasks.datasets.sql import read_sql


@pytest.fixture
def url(tmp_path):
    connection = sqlite3.connect(tmp_path / "rows.db")
    connection.execute("CREATE TABLE t (id INTEGER, text TEXT, at TIMESTAMP)")
    rows = [(1, "a", "2026-03-01 10:00:00.000000"), (2, None, "2026-03-02 10:00:00.000000")]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return f"sqlite:///{tmp_path / 'rows.db'}"


def test_a_query_is_a_table(url):
    table = read_sql(None, url=url, query="SELECT id, text FROM t ORDER BY id")
    assert table.to_pydict() == {"id": [1, 2], "text": ["a", None]}


def test_the_logical_date_can_be_asked_for(url):
    query = "SELECT id FROM t WHERE at <= :until"
    assert read_sql(end_of(date(2026, 3, 1)), url=url, query=query).num_rows == 1
    assert read_sql(end_of(date(2026, 3, 2)), url=url, query=query).num_rows == 2


def test_no_row_is_a_table_with_the_columns(url):
    table = read_sql(None, url=url, query="SELECT id, text FROM t WHERE 0")
    assert (table.num_rows, table.column_names) == (0, ["id", "text"])


def test_a_refused_query_is_explained(url):
    with pytest.raises(DataError, match="no such table: tickets"):
        read_sql(None, url=url, query="SELECT * FROM tickets")


def test_a_column_of_mixed_types_is_named(url):
    with pytest.raises(DataError, match=r"column 'x' mixes types.*CAST"):
        read_sql(None, url=url, query="SELECT 1 AS x UNION ALL SELECT 'b'")


def test_a_password_in_the_pipeline_is_refused_and_not_repeated():
    with pytest.raises(DataError, match="holds a password") as caught:
        read_sql(None, url="postgresql+psycopg2://me:canary@host/db", query="SELECT 1")
    assert "canary" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("WAREHOUSE", raising=False)
    with pytest.raises(DataError, match="variable WAREHOUSE"):
        read_sql(None, url="${WAREHOUSE}", query="SELECT 1")


def test_variables_are_filled_in(url, monkeypatch, tmp_path):
    monkeypatch.setenv("WAREHOUSE", url)
    assert read_sql(None, url="${WAREHOUSE}", query="SELECT 7 AS n").to_pydict() == {"n": [7]}
    monkeypatch.setenv("ROWS", "rows.db")
    assert read_sql(None, url=f"sqlite:///{tmp_path}/${{ROWS}}", query="SELECT 1").num_rows == 1


def test_a_dead_database_is_explained(tmp_path):
    with pytest.raises(DataError, match="unable to open database file"):
        read_sql(None, url=f"sqlite:///{tmp_path}/missing/rows.db", query="SELECT 1")


def test_a_password_from_the_environment_is_in_no_message(monkeypatch):
    monkeypatch.setenv("SECRET", "canary/with@signs")
    with pytest.raises(DataError) as caught:
        read_sql(None, url="postgresql+psycopg2://me:${SECRET}@127.0.0.1:1/db", query="SELECT 1")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["no url", "nosql://host/db"])
def test_what_is_no_usable_url_is_refused(url):
    with pytest.raises(DataError, match="no usable SQLAlchemy URL"):
        read_sql(None, url=url, query="SELECT 1")
