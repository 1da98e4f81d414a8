"""What is read a part at a time is what would be read whole."""

import itertools
import json
import sqlite3
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from infra.storage import LocalStorage
from tasks.config import Choice
from tasks.datasets import STREAMS, snapshots
from tasks.datasets.canonical import canonical, end_of, table_of
from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.errors import DataError
from tasks.datasets.intake import take_in
from tasks.datasets.known_ids import known
from tasks.datasets.reading import frames, read
from tasks.datasets.sorting import Sorter
from tests.rows import pipeline_of, small_parts

DAY = date(2026, 3, 20)
COLUMNS = {"id": "id", "text": "text", "label": "topic", "time": "at"}
NAMELESS = {"text": "text", "label": "topic", "split": "side"}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 9),
            "text": st.none() | st.sampled_from(["a", "b b", "c", "ü"]),
            "topic": st.none() | st.sampled_from("xyz"),
            "at": st.none() | st.dates(date(2026, 3, 1), date(2026, 3, 25)).map(str),
            "side": st.sampled_from(["train", "train", "test"]),
        }
    ),
    min_size=1,
    max_size=25,
)
QUIET = settings(deadline=None, max_examples=10)


def _as_csv(rows, folder):
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    return Choice(name="csv", options={"path": str(folder / "rows.csv"), "as_text": ["text"]})


def _as_parquet(rows, folder):
    parquet.write_table(_table(rows), folder / "rows.parquet", row_group_size=4)
    return Choice(name="parquet", options={"path": str(folder / "rows.parquet")})


def _as_jsonl(rows, folder):
    lines = "".join(f"{json.dumps(row)}\n\n" for row in rows)  # an empty line is no row
    (folder / "rows.jsonl").write_text(lines)
    return Choice(name="jsonl", options={"path": str(folder / "rows.jsonl")})


def _as_sql(rows, folder):
    connection = sqlite3.connect(folder / "rows.db")
    pd.DataFrame(rows).to_sql("t", connection, index=False, if_exists="replace")
    connection.close()
    url = f"sqlite:///{folder / 'rows.db'}"
    return Choice(name="sql", options={"url": url, "query": "SELECT * FROM t"})


def _table(rows):
    text = ("text", pa.string()), ("topic", pa.string()), ("at", pa.string()), ("side", pa.string())
    return pa.Table.from_pylist(rows, pa.schema([("id", pa.int64()), *text]))


KEPT_AS = {"csv": _as_csv, "parquet": _as_parquet, "jsonl": _as_jsonl, "sql": _as_sql}


def test_every_stream_is_tried_here():
    assert sorted(KEPT_AS) == sorted(STREAMS)


@pytest.mark.parametrize("name", KEPT_AS)
@pytest.mark.parametrize("columns", [COLUMNS, NAMELESS], ids=["with ids", "without ids"])
@given(rows=ROWS)
@QUIET
def test_parts_are_the_whole_cut(name, columns, rows):
    with TemporaryDirectory() as folder:
        choice = KEPT_AS[name](rows, Path(folder))
        pipeline = pipeline_of(columns, reader=choice.model_dump())
        whole = canonical(table_of(choice, None), pipeline)
        if "time" in whole:
            whole = whole[~(whole["time"] > end_of(DAY))]
        with small_parts():
            found = list(frames(pipeline, DAY))
    assert max(map(len, found)) < 20
    joined = pd.concat(found, ignore_index=True)
    pd.testing.assert_frame_equal(joined, whole.reset_index(drop=True))


@pytest.mark.parametrize("columns", [COLUMNS, NAMELESS], ids=["with ids", "without ids"])
@given(rows=ROWS)
@settings(deadline=None, max_examples=15)
def test_the_snapshot_of_parts_is_that_of_the_whole(columns, rows):
    with TemporaryDirectory() as home:
        reader = _as_parquet(rows, Path(home))
        pipeline = pipeline_of(columns, reader=reader.model_dump())
        storage = LocalStorage(Path(home) / "store")
        try:
            kept, dropped = without_duplicates(read(pipeline, DAY))
        except DataError as error:
            with small_parts(), pytest.raises(DataError, match=str(error)[:20]):
                take_in(pipeline, DAY, storage)
            return
        with small_parts():
            snapshot = take_in(pipeline, DAY, storage)
            expected = kept.sort_values("row_id").reset_index(drop=True)
            pd.testing.assert_frame_equal(snapshots.load(snapshot, storage), expected)
        assert snapshot.digest == snapshots.digest_of(kept)
        assert (snapshot.rows, snapshot.duplicates) == (len(kept), dropped)
        assert take_in(pipeline, DAY, storage) == snapshot


def _night(rows, folder, columns=COLUMNS, **changes):
    pipeline = pipeline_of(columns, reader=_as_parquet(rows, folder).model_dump(), **changes)
    return take_in(pipeline, DAY, LocalStorage(folder / "store"))


def _row(number, text="a", topic="x", at="2026-03-01", side="train"):
    return {"id": number, "text": text, "topic": topic, "at": at, "side": side}


def test_a_twin_in_another_part_is_found(tmp_path):
    rows = [_row(number, text=f"text {number}") for number in range(20)]
    rows[19]["text"], rows[19]["at"] = rows[0]["text"], "2026-02-01"
    with small_parts():
        snapshot = _night(rows, tmp_path)
        kept = snapshots.load(snapshot, LocalStorage(tmp_path / "store"))
    assert (snapshot.rows, snapshot.duplicates) == (19, 1)
    assert "0" not in kept["row_id"].tolist(), "the older one stays"


def test_an_id_that_says_two_things_in_two_parts_is_refused(tmp_path):
    rows = [_row(number % 19, text=f"text {number}", at=None) for number in range(20)]
    with small_parts(), pytest.raises(DataError, match="1 ids stand for different rows: '0'"):
        _night(rows, tmp_path)


def test_rows_of_the_night_before_are_known_in_any_part(tmp_path):
    rows = [_row(number, text=f"text {number}") for number in range(20)]
    with small_parts():
        pipeline = pipeline_of(COLUMNS, reader=_as_parquet(rows[::2], tmp_path).model_dump())
        take_in(pipeline, date(2026, 3, 19), LocalStorage(tmp_path / "store"))
        assert _night(rows, tmp_path).new_rows == 10


def test_times_that_only_the_last_part_can_read_are_times(tmp_path):
    rows = [_row(number, at="soon") for number in range(9)]
    with small_parts(), pytest.raises(DataError, match=r"no value is ISO 8601.*'soon'"):
        _night(rows, tmp_path)
    rows[8]["at"] = "2026-03-02"
    with small_parts():
        assert _night(rows, tmp_path).newest == "2026-03-02T00:00:00+00:00"


def test_a_type_that_the_last_row_of_a_csv_file_decides_holds_for_all_rows(tmp_path):
    rows = [_row(number, topic=f"{number % 2:02}") for number in range(40)]
    rows[39]["topic"] = "x"
    choice = _as_csv(rows, tmp_path)
    with small_parts():
        frame = read(pipeline_of(COLUMNS, reader=choice.model_dump()), DAY)
    assert frame["label"].tolist()[-3:] == ["01", "00", "x"]


JSON_ROWS = [{"text": f"a text {number}", "topic": None, "n": number} for number in range(20)]


def test_what_the_last_lines_of_a_json_lines_file_say_holds_for_all_rows(tmp_path):
    rows = [*JSON_ROWS, {"text": "2026-03-01", "topic": "x", "n": 0.5, "late": ["one"]}]
    whole = table_of(_as_jsonl(rows, tmp_path), None)
    with small_parts():
        assert table_of(_as_jsonl(rows, tmp_path), None).equals(whole)
        rows[0]["text"] = "2026-02-01"  # the first block is of texts, too
        assert table_of(_as_jsonl(rows[::-1], tmp_path), None)["text"][20].as_py() == "2026-02-01"
    assert [str(kind) for kind in whole.schema.types] == [
        "string", "string", "double", "list<item: string>",
    ]  # fmt: skip


def test_a_json_lines_file_is_refused_where_it_breaks_whichever_block_that_is_in(tmp_path):
    with small_parts(), pytest.raises(DataError, match="column 'n' changed from int64 to string"):
        table_of(_as_jsonl([*JSON_ROWS, {"n": "x"}], tmp_path), None)
    choice = _as_jsonl([*JSON_ROWS, {}], tmp_path)
    (tmp_path / "rows.jsonl").write_text((tmp_path / "rows.jsonl").read_text() + '{"n": \n')
    with small_parts(), pytest.raises(DataError, match=r"rows\.jsonl: cannot be read.*in row 21"):
        table_of(choice, None)


def test_a_column_of_a_query_that_changes_its_type_on_the_way_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    query = "SELECT 'a' AS text, value AS topic FROM json_each('[1, 2, 3, 4, 5, \"b\"]')"
    reader = {"name": "sql", "options": {"url": url, "query": query}}
    with small_parts(), pytest.raises(DataError, match=r"column 'topic' mixes types.*CAST"):
        list(frames(pipeline_of({"text": "text", "label": "topic"}, reader=reader), DAY))


def test_a_folder_whose_files_differ_in_type_is_refused_by_name(tmp_path):
    parquet.write_table(_table([_row(1)]), tmp_path / "a.parquet")
    parquet.write_table(pa.table({"id": ["x"], "text": [1.5]}), tmp_path / "b.parquet")
    reader = {"name": "parquet", "options": {"path": str(tmp_path)}}
    with pytest.raises(DataError, match=f"{tmp_path}: cannot be read"):
        list(frames(pipeline_of(COLUMNS, reader=reader), DAY))


def test_folders_that_name_a_value_are_a_column_in_parts_too(tmp_path):
    for topic in ("x", "y"):
        (tmp_path / f"topic={topic}").mkdir()
        some = _table([_row(1), _row(2)]).drop_columns("topic")
        parquet.write_table(some, tmp_path / f"topic={topic}" / "rows.parquet")
    reader = {"name": "parquet", "options": {"path": str(tmp_path)}}
    frame = read(pipeline_of({"text": "text", "label": "topic"}, reader=reader), DAY)
    assert frame["label"].tolist() == ["x", "x", "y", "y"]


def test_series_with_other_channels_in_a_later_part_are_refused(tmp_path):
    made = [[[1.0, 2.0]]] * 4 + [[[1.0]]]
    table = pa.table({"s": made, "topic": ["a"] * 5})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=4)
    reader = {"name": "parquet", "options": {"path": str(tmp_path / "rows.parquet")}}
    pipeline = pipeline_of({"sequence": ["s"], "label": "topic"}, reader=reader)
    with small_parts(), pytest.raises(DataError, match="same number of channels"):
        list(frames(pipeline, DAY))


@given(st.lists(st.lists(st.text(max_size=3), max_size=9), min_size=1, max_size=5))
@QUIET
def test_sorting_keeps_rows_of_one_id_together_and_in_order(groups):
    with TemporaryDirectory() as folder, small_parts():
        sorter = Sorter(Path(folder))
        numbers = itertools.count()
        for ids in groups:
            rows = {"row_id": ids, "n": [next(numbers) for _ in ids]}
            types = [("row_id", pa.large_string()), ("n", pa.int64())]
            sorter.add(pa.table(rows, pa.schema(types)))
        merged = [table.to_pylist() for table in sorter.merged()]
    everything = [(row["row_id"], row["n"]) for table in merged for row in table]
    flat = enumerate(one for ids in groups for one in ids)
    assert everything == sorted((one, number) for number, one in flat)
    seen = [{row["row_id"] for row in table} for table in merged]
    assert sum(map(len, seen)) == len(set().union(*seen))


IDS = st.lists(st.text(max_size=2), max_size=20, unique=True).map(sorted)


@given(IDS, IDS, st.integers(1, 4), st.integers(1, 4))
@QUIET
def test_known_ids_are_those_that_both_have(ours, theirs, some, others):
    def cut(ids, size):
        return (pa.array(ids[at : at + size], pa.string()) for at in range(0, len(ids), size))

    found = [bool(one) for part in known(cut(ours, some), cut(theirs, others)) for one in part]
    assert found == [one in set(theirs) for one in ours]


def test_unlabelled_texts_are_kept_once_whatever_part_they_are_in(tmp_path):
    words = ["a", "b", None, "a", "c", "b", "a"]
    parquet.write_table(pa.table({"text": words}), tmp_path / "more.parquet", row_group_size=2)
    more = {"name": "parquet", "options": {"path": str(tmp_path / "more.parquet")}}
    reader = _as_parquet([_row(1)], tmp_path).model_dump()
    pipeline = pipeline_of(COLUMNS, source={"reader": reader, "unlabelled": more})
    storage = LocalStorage(tmp_path / "store")
    with small_parts():
        digest = take_in(pipeline, DAY, storage).unlabelled
        texts = snapshots.rows_of(snapshots.key_of("trial", digest), digest, storage)["text"]
    assert sorted(texts) == ["a", "b", "c"]
