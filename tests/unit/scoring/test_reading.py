"""Every format is read in pieces as it would be at once, and a line that is no row is told."""

import json
import sqlite3

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tasks.config import Choice, ConfigError
from tasks.datasets.errors import DataError
from tasks.scoring.formats import pieces
from tasks.scoring.grouping import SourceChanged, grouped, new
from tasks.scoring.sources import Cursor, source_of
from tests.rows import pipeline_of

TEXT = {"id": "ticket", "label": "topic", "text": "body"}
SERIES = {"id": "ticket", "label": "topic", "sequence": ["left", "right"]}
WIDE = {"label": "topic", "sequence": ["series"], "wide": ["v1", "v2", "v3"]}
ENDINGS = ("csv", "parquet", "jsonl")


def write(path, rows):
    frame = pd.DataFrame(rows)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path, row_group_size=7)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tickets(count, first=0):
    return [{"ticket": f"t{n}", "body": f"a parcel, {n}", "extra": n} for n in range(first, count)]


def read(source, at=None, rows=10):
    return list(source.chunks(at or Cursor(), rows))


def ids(chunks):
    return [name for chunk in chunks for name in chunk.rows["row_id"]]


def texts(chunks):
    return [text for chunk in chunks for text in chunk.rows["text"]]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_is_read_whole_in_order_in_pieces_of_one_size(tmp_path, ending):
    path = write(tmp_path / f"rows.{ending}", tickets(25))
    found = read(source_of(pipeline_of(TEXT), str(path), None))
    assert [len(chunk) for chunk in found] == [10, 10, 5]
    assert ids(found) == [f"t{n}" for n in range(25)]
    assert texts(found) == [f"a parcel, {n}" for n in range(25)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_source_goes_on_wherever_a_chunk_ended(tmp_path, ending):
    for number in range(3):
        write(tmp_path / f"{number}.{ending}", tickets(23 * (number + 1), 23 * number))
    source = source_of(pipeline_of(TEXT), str(tmp_path), None)
    whole = read(source)
    assert len(ids(whole)) == 69
    for at, chunk in enumerate(whole):
        rest = read(source, chunk.after)
        assert ids(rest) == ids(whole[at + 1 :])
        assert [each.after for each in rest] == [each.after for each in whole[at + 1 :]]


def test_a_folder_gives_its_data_and_nothing_else(tmp_path):
    write(tmp_path / "a.csv", tickets(2))
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "b.jsonl", tickets(4, 2))
    for name in ("_SUCCESS", "_hidden.csv", ".c.csv", "notes.txt"):
        (tmp_path / name).write_text("no data")
    assert ids(read(source_of(pipeline_of(TEXT), str(tmp_path), None))) == ["t0", "t1", "t2", "t3"]


def test_ids_stay_as_they_are_written_and_missing_ones_are_the_row_numbers(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("ticket,body\n007,a\n,b\n1.0,12\n")
    found = read(source_of(pipeline_of(TEXT), str(path), None))
    assert ids(found) == ["007", "2", "1.0"]
    assert texts(found) == ["a", "b", "12"]
    path.write_text("body\na\nb\n")
    assert ids(read(source_of(pipeline_of(TEXT), str(path), None))) == ["1", "2"]


def test_lines_that_are_no_rows_are_bad_rows(tmp_path):
    csv = tmp_path / "rows.csv"
    csv.write_bytes(b'ticket,body\na,"fine, ""quoted""\nlines"\nb,x,too many\nc,caf\xe9\nd,fine\n')
    found = read(source_of(pipeline_of(TEXT), str(csv), None))
    assert texts(found) == ['fine, "quoted"\nlines', "fine"]
    assert [why for chunk in found for _, why in chunk.bad] == [
        "the line is no valid UTF-8",
        "the line has 3 columns, the header 2",
    ]
    lines = tmp_path / "rows.jsonl"
    broken = ('{"ticket": 1, "body": "x"}', "{no json", "[1]", "", '{"ticket": "b", "body": 3.5}')
    lines.write_text("\n".join(broken) + "\n")
    (chunk,) = read(source_of(pipeline_of(TEXT), str(lines), None))
    assert ids([chunk]) == ["1"]
    assert chunk.bad == (
        ("row 2", "the line is no JSON object"),
        ("row 3", "the line is no JSON object"),
        ("row 5", "body must be text or a series, and it is float"),
    )


def test_series_whose_channels_differ_are_bad_rows_among_good_ones(tmp_path):
    rows = [{"ticket": f"s{n}", "left": [1.0] * 3, "right": [2.0] * 3} for n in range(40)]
    rows[17]["right"] = [1.0]
    path = write(tmp_path / "rows.parquet", rows)
    found = read(source_of(pipeline_of(SERIES), str(path), None), rows=20)
    assert [name for chunk in found for name, _ in chunk.bad] == ["s17"]
    assert ids(found) == [f"s{n}" for n in range(40) if n != 17]


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_of_one_column_a_step_are_scored_as_they_are_written(tmp_path, ending):
    rows = [{"v2": 2.5, "v1": float(n), "v3": None, "topic": "a"} for n in range(25)]
    path = write(tmp_path / f"rows.{ending}", rows)
    found = read(source_of(pipeline_of(WIDE), str(path), None))
    series = [value for chunk in found for value in chunk.rows["series"]]
    assert [[list(step) for step in row] for row in series] == [[[n], [2.5]] for n in range(25)]


def test_a_step_that_is_no_number_makes_its_row_a_bad_one(tmp_path):
    csv, lines = tmp_path / "rows.csv", tmp_path / "rows.jsonl"
    csv.write_text("v1,v2,v3\n1,2,3\n4,x,6\n7,8,9\n")
    (chunk,) = read(source_of(pipeline_of(WIDE), str(csv), None))
    assert ids([chunk]) == ["1", "3"]
    assert chunk.bad[0][1].startswith("column 'v2' must hold numbers")
    lines.write_text('{"v1": 1, "v2": 2.5, "v3": null}\n{"v1": 4, "v2": "x", "v3": 6}\n')
    (chunk,) = read(source_of(pipeline_of(WIDE), str(lines), None))
    assert [list(step) for step in chunk.rows["series"][0]] == [[1], [2.5]]
    assert chunk.bad == (("row 2", "v2 must be a number, and it is str"),)


def test_a_file_without_header_is_scored_as_the_pipeline_reads_its_own(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,one\nb,caf\xe9\nc,three\n")
    source = {"reader": {"name": "csv", "options": {"path": "x.csv", "header": False}}}
    pipeline = pipeline_of({"label": "f2", "id": "f0", "text": "f1"}, source=source)
    found = read(source_of(pipeline, str(path), None))
    assert texts(found) == ["one", "three"]
    assert found[0].bad == (("row 2", "the line is no valid UTF-8"),)


def test_what_holds_for_all_rows_is_refused_at_once(tmp_path):
    for ending in ("csv", "parquet", "jsonl"):
        path = write(tmp_path / f"rows.{ending}", [{"ticket": "a", "words": "b", "at": "c"}])
        said = rf"rows\.{ending}: has no column 'body'.*; there are: ticket, words, at; rename one"
        with pytest.raises(DataError, match=said):
            read(source_of(pipeline_of(TEXT), str(path), None))
    (tmp_path / "rows.txt").touch()
    with pytest.raises(ConfigError, match=r"ending '\.txt' is none of"):
        source_of(pipeline_of(TEXT), str(tmp_path / "rows.txt"), None)
    with pytest.raises(DataError, match="no such file or folder"):
        source_of(pipeline_of(TEXT), str(tmp_path / "none"), None)
    (tmp_path / "none.csv").touch()
    with pytest.raises(DataError, match="the file is empty"):
        read(source_of(pipeline_of(TEXT), str(tmp_path / "none.csv"), None))


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), max_size=30))
def test_a_csv_file_gives_back_every_text_that_was_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    rows = [{"ticket": f"t{n}", "body": text.replace("\r", "")} for n, text in enumerate(written)]
    frame = pd.DataFrame(rows, columns=["ticket", "body"])
    frame.to_csv(path, index=False, quoting=1, lineterminator="\n")
    found = list(pieces(path, "csv", pipeline_of(TEXT).columns, {}, 7, "rows.csv"))
    whole = pa.concat_tables([piece.table for piece in found] or [pa.table({"body": []})])
    assert [text or "" for text in whole.column("body").to_pylist()] == frame["body"].tolist()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table tickets (ticket text, body text)")
        rows = [(row["ticket"], row["body"]) for row in tickets(35)]
        connection.executemany("insert into tickets values (?, ?)", rows)
    return path


def sql_pipeline(database, query):
    options = {"url": f"sqlite:///{database}", "query": query}
    return pipeline_of(TEXT, reader=Choice(name="sql", options=options))


def test_a_query_is_streamed_over_the_pipelines_own_database(database):
    query = "select ticket, body from tickets order by ticket"
    found = read(source_of(sql_pipeline(database, "select 1"), query, None))
    assert [len(chunk) for chunk in found] == [10, 10, 10, 5]
    assert ids(found) == sorted(f"t{n}" for n in range(35))
    with pytest.raises(ConfigError, match="a query needs the database of the pipeline"):
        source_of(pipeline_of(TEXT), query, None)


def test_a_query_goes_on_only_where_it_repeats_its_rows(database):
    query = "select ticket, body from tickets order by ticket"
    source = source_of(sql_pipeline(database, query), query, None)
    whole = read(source)
    at, marks = whole[1].after, [chunk.mark for chunk in whole[:2]]
    assert ids(new(iter(read(source, at)), at, marks)) == ids(whole[2:])
    with sqlite3.connect(database) as connection:
        connection.execute("delete from tickets where ticket = 't0'")
    with pytest.raises(SourceChanged, match="other rows than before"):
        list(new(iter(read(source, at)), at, marks))


def test_the_readers_of_a_pipeline_can_be_named_with_their_options(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("ticket;body\na;b,c\n")
    choice = Choice(name="csv", options={"path": str(path), "delimiter": ";"})
    assert texts(read(source_of(pipeline_of(TEXT), choice, None))) == ["b,c"]
    whole = Choice(name="synthetic", options={"days": 2, "rows_per_day": 20, "end": "2026-03-01"})
    stream = {"id": "ticket_id", "label": "topic", "text": "text"}
    source = source_of(pipeline_of(stream), whole, None)
    found = read(source)
    assert ids(read(source, found[0].after)) == ids(found[1:])


def test_a_part_ends_with_the_chunk_that_fills_it(tmp_path):
    path = write(tmp_path / "rows.csv", tickets(55))
    chunks = source_of(pipeline_of(TEXT), str(path), None).chunks(Cursor(), 10)
    groups = grouped(((chunk, None) for chunk in chunks), 25)
    assert [[len(chunk) for chunk, _ in group] for group in groups] == [
        [10, 10, 10],
        [10, 10, 5],
    ]


def test_a_file_of_steps_without_a_channel_is_named_with_all_its_columns(tmp_path):
    columns = {"id": "ticket", "label": "topic", "step": "at", "sequence": ["left"]}
    path = write(tmp_path / "rows.parquet", [{"ticket": "a", "at": 1, "right": 1.0}])
    said = r"rows\.parquet: has no column 'left'.*; there are: ticket, at, right; rename one"
    with pytest.raises(DataError, match=said):
        read(source_of(pipeline_of(columns), str(path), None))


def test_long_series_are_read_a_file_at_a_time(tmp_path):
    columns = {"id": "ticket", "label": "topic", "step": "at", "sequence": ["left"]}
    rows = [{"ticket": f"s{n // 4}", "at": n % 4, "left": float(n)} for n in range(100)]
    path = write(tmp_path / "rows.parquet", rows)
    parquet.read_schema(path)
    found = read(source_of(pipeline_of(columns), str(path), None))
    assert [len(chunk) for chunk in found] == [10, 10, 5]
    assert ids(read(source_of(pipeline_of(columns), str(path), None), found[0].after)) == ids(
        found[1:]
    )
