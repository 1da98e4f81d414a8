import time
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.canonical import canonical, end_of
from tasks.datasets.columns import SPLITS
from tasks.datasets.errors import DataError
from tests.rows import pipeline_of

TEXT = {"text": "text", "label": "label"}


def _frame(rows, columns=TEXT, *, slices=(), labels=None, need_labels=True):
    table = rows if isinstance(rows, pa.Table) else pa.table(rows)
    pipeline = pipeline_of(columns, slices=slices)
    return canonical(table, pipeline, labels, need_labels=need_labels)


def test_columns_come_in_one_order_under_their_canonical_names():
    rows = {name: ["x"] for name in ("place", "who", "kind", "words", "key", "side", "spare")}
    rows["side"], rows["when"] = ["Train"], ["2026-03-01T10:00:00+02:00"]
    columns = {
        "text": "words", "label": "kind", "id": "key", "group": "who", "split": "side",
        "time": "when",
    }  # fmt: skip
    frame = _frame(rows, columns, slices=["place"])
    assert list(frame) == ["row_id", "label", "text", "time", "group", "split", "place"]
    assert frame["time"][0] == pd.Timestamp("2026-03-01T08:00:00Z")
    assert frame["time"].dtype == "datetime64[us, UTC]"
    assert {str(dtype) for dtype in frame.drop(columns="time").dtypes} == {"str"}
    assert isinstance(frame.index, pd.RangeIndex)


@pytest.mark.parametrize(
    ("given_labels", "expected"),
    [
        ([1, 2, None], ["1", "2", None]),
        ([1.0, 2.5, None], ["1", "2.5", None]),
        ([float("nan"), -3.0, 1e15], [None, "-3", "1000000000000000"]),
        ([True, False, None], ["true", "false", None]),
        (["a", "", None], ["a", None, None]),
        ([None, None, None], [None, None, None]),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
        (pa.array([b"", None, None]).cast(pa.large_string()), [None, None, None]),
    ],
)
def test_labels_are_names(given_labels, expected):
    labels = _frame({"text": ["x", "y", "z"], "label": given_labels})["label"]
    assert [None if pd.isna(label) else label for label in labels] == expected
    assert labels.dtype == "str"


def test_a_missing_column_names_the_nearest_and_otherwise_what_there_is():
    with pytest.raises(DataError, match=r"source has no column 'text'; did you mean 'txt'\?"):
        _frame({"txt": ["x"], "label": ["a"]})
    with pytest.raises(DataError, match="no column 'text'; there are: body, label"):
        _frame({"body": ["x"], "label": ["a"]})


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays([pa.array(["x"])] * 3, names=["text", "text", "label"])
    with pytest.raises(DataError, match="several columns 'text'"):
        _frame(table)


@pytest.mark.parametrize("values", [[1, 2], [1.5, None], [["x"], []], [b"x", b"y"]])
def test_a_text_column_of_another_type_is_no_text(values):
    with pytest.raises(DataError, match="column 'text' must be text, and it holds"):
        _frame({"text": values, "label": ["a", "b"]})


def test_lists_are_no_labels():
    with pytest.raises(DataError, match="must hold names or numbers, and it holds list"):
        _frame({"text": ["x"], "label": [["a"]]})


def test_missing_text_and_labels_are_kept_for_validation():
    frame = _frame({"text": ["x", None, ""], "label": [None, "b", "c"]})
    assert frame["text"].isna().tolist() == [False, True, False]
    assert frame["label"].isna().tolist() == [True, False, False]


def test_no_rows_are_a_frame_of_no_rows_with_its_types():
    empty = pa.table({"text": pa.nulls(0), "label": pa.nulls(0), "at": pa.nulls(0)})
    frame = _frame(empty, TEXT | {"time": "at"})
    assert len(frame) == 0
    assert frame["time"].dtype == "datetime64[us, UTC]"
    assert frame["text"].dtype == "str"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-01T10:00:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01 10:00:00-08:00", "2026-03-01T18:00:00Z"),
        (date(2026, 3, 1), "2026-03-01T00:00:00Z"),
        (datetime(2026, 3, 1, 10), "2026-03-01T10:00:00Z"),
        (datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=2))), "2026-03-01T08:00:00Z"),
    ],
)
def test_times_of_any_kind_are_utc(moment, expected):
    rows = {"text": ["x", "y"], "label": ["a", "b"], "at": [moment, None]}
    times = _frame(rows, TEXT | {"time": "at"})["time"]
    assert times[0] == pd.Timestamp(expected)
    assert pd.isna(times[1])


def test_an_unreadable_time_is_missing_and_a_column_of_them_is_refused():
    columns = TEXT | {"time": "at"}
    rows = {"text": ["x", "y"], "label": ["a", "b"]}
    assert _frame({**rows, "at": ["2026-03-01", "soon"]}, columns)["time"].isna().sum() == 1
    with pytest.raises(DataError, match=r"no value is ISO 8601.*'03/01/2026'"):
        _frame({**rows, "at": ["03/01/2026", "soon"]}, columns)
    with pytest.raises(DataError, match="must hold times or ISO 8601 text, and it holds int64"):
        _frame({**rows, "at": [1, 2]}, columns)


@pytest.mark.parametrize(("written", "side"), SPLITS.items())
def test_splits_have_many_names(written, side):
    rows = {"text": ["x"], "label": ["a"], "part": [f" {written.upper()} "]}
    assert _frame(rows, TEXT | {"split": "part"})["split"].tolist() == [side]


@pytest.mark.parametrize("other", ["holdout", None])
def test_another_split_is_refused_by_name(other):
    rows = {"text": ["x", "y"], "label": ["a", "b"], "part": ["train", other]}
    with pytest.raises(DataError, match=f"'part'.*1 row with {other!r}"):
        _frame(rows, TEXT | {"split": "part"})


def test_a_slice_may_not_take_a_canonical_name():
    with pytest.raises(DataError, match="'group' is a name of Nocturne's own"):
        _frame({"text": ["x"], "label": ["a"], "group": ["g"]}, slices=["group"])


def test_ids_are_names_and_gaps_are_filled_with_the_content():
    rows = {"text": ["x", "y", "z"], "label": ["a", "a", "a"], "key": [1.0, None, 3.0]}
    ids = _frame(rows, TEXT | {"id": "key"})["row_id"]
    assert (ids[0], ids[2]) == ("1", "3")
    assert len(ids[1]) == 32


def test_without_ids_equal_rows_share_one():
    rows = {"text": ["x", "y", "x", "x"], "label": ["a", "a", "a", "b"]}
    ids = _frame(rows)["row_id"]
    assert ids[0] == ids[2]
    assert ids.nunique() == 3


def test_without_ids_rows_with_something_missing_are_told_apart():
    rows = {"text": [None, None, "x", "x"], "label": ["a", "a", None, None]}
    assert _frame(rows)["row_id"].nunique() == 4


@given(st.permutations(range(6)))
@settings(deadline=None, max_examples=30)
def test_ids_made_from_content_do_not_depend_on_the_order(order):
    words, labels = ["x", "y", "x", None, None, "w"], ["a", "b", "a", "a", "a", None]
    rows = {"text": [words[at] for at in order], "label": [labels[at] for at in order]}
    straight = _frame({"text": words, "label": labels})
    assert sorted(_frame(rows)["row_id"]) == sorted(straight["row_id"])


def test_rows_to_score_need_only_their_input():
    columns = TEXT | {"id": "key", "time": "at", "group": "who", "split": "part"}
    frame = _frame({"text": ["x", "x"]}, columns, slices=["place"], need_labels=False)
    assert list(frame) == ["row_id", "label", "text"]
    assert frame["label"].isna().all()
    with pytest.raises(DataError, match="no column 'key'"):
        _frame({"text": ["x"], "label": ["a"]}, columns)


def test_rows_to_score_keep_their_order_and_what_they_bring():
    columns = TEXT | {"id": "key"}
    rows = {"text": ["b", "a", "b"], "key": [3, 1, 2], "label": ["x", None, "y"]}
    frame = _frame(rows, columns, need_labels=False)
    assert frame["row_id"].tolist() == ["3", "1", "2"]
    assert frame["label"].isna().tolist() == [False, True, False]


def test_labels_of_a_second_table_are_joined_by_id():
    labels = pa.table({"key": ["2", "1", "9"], "label": ["b", "a", "c"], "place": ["q", "p", "r"]})
    frame = _frame(
        {"key": [1, 2, 3], "text": ["x", "y", "z"]},
        TEXT | {"id": "key"},
        slices=["place"],
        labels=labels,
    )
    assert frame["row_id"].tolist() == ["1", "2", "3", "9"]
    assert frame["label"].fillna("-").tolist() == ["a", "b", "-", "c"]
    assert frame["text"].fillna("-").tolist() == ["x", "y", "z", "-"]
    assert frame["place"].fillna("-").tolist() == ["p", "q", "-", "r"]


def test_a_second_table_may_repeat_itself_but_not_contradict_itself():
    rows, columns = {"key": [1], "text": ["x"]}, TEXT | {"id": "key"}
    same = pa.table({"key": [1, 1], "label": ["a", "a"]})
    assert _frame(rows, columns, labels=same)["label"].tolist() == ["a"]
    other = pa.table({"key": [1, 1], "label": ["a", "b"]})
    with pytest.raises(DataError, match="ids with different labels: '1'"):
        _frame(rows, columns, labels=other)


def test_a_second_table_needs_an_id_to_join_by():
    with pytest.raises(DataError, match=r"needs columns\.id"):
        _frame({"text": ["x"]}, labels=pa.table({"label": ["a"]}))


def test_the_logical_date_ends_with_its_last_microsecond_in_utc():
    end = end_of(date(2026, 3, 1))
    assert end + timedelta(microseconds=1) == datetime(2026, 3, 2, tzinfo=UTC)


def test_sixty_thousand_rows_are_canonical_in_seconds():
    rng = np.random.default_rng(0)
    words = [f"words {number} of {number % 7}" for number in range(60_000)]
    rows = {"text": words, "label": rng.integers(0, 3, 60_000), "at": ["2026-03-01"] * 60_000}
    start = time.process_time()
    assert len(_frame(rows, TEXT | {"time": "at"})) == 60_000
    assert time.process_time() - start < 5
