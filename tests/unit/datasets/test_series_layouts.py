import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tasks.datasets.canonical import canonical
from tasks.datasets.contents import arrow
from tasks.datasets.errors import DataError
from tasks.datasets.series import SERIES_TYPE, flat, nested
from tests.rows import pipeline_of

LONG = {"id": "id", "step": "t", "sequence": ["u", "v"], "label": "label"}
WIDE = {"sequence": ["series"], "wide": ["v0", "v1", "v2"], "label": "label"}
LISTS = {"id": "id", "sequence": ["u", "v"], "label": "label"}


def _long(rows, labels=None, **columns):
    return canonical(pa.table(rows), pipeline_of(LONG | columns), labels)


def _lists(rows, **columns):
    return canonical(pa.table(rows), pipeline_of(LISTS | columns))


def _wide(rows):
    return canonical(pa.table({**rows, "label": ["x"] * len(rows["v0"])}), pipeline_of(WIDE))


def _steps(value):
    return None if value is None or value is pd.NA else [list(step) for step in value]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.integers(1, 3),
    st.data(),
)
@settings(deadline=None, max_examples=50)
def test_flat_gives_back_what_nested_took(lengths, channels, data):
    shape = (sum(lengths), channels)
    values = data.draw(nps.arrays(np.float32, shape, elements=st.floats(-10, 10, width=32)))
    offsets = np.cumsum([0, *lengths])
    column = nested(values, offsets)
    assert column.type == SERIES_TYPE
    again, bounds = flat(column)
    assert bounds.tolist() == offsets.tolist()
    if len(values):
        np.testing.assert_array_equal(again, values)


def test_steps_in_any_order_become_series_in_order_of_appearance():
    rows = {
        "id": ["b", "a", "b", "a", "b"],
        "t": [2, 0, 0, 1, 1],
        "u": [3.0, 10.0, 1.0, 11.0, 2.0],
        "v": [None, 0.0, 0.5, 0.0, 0.0],
        "label": ["x", "y", "x", "y", "x"],
    }
    frame = _long(rows)
    assert frame["row_id"].tolist() == ["b", "a"]
    assert frame["label"].tolist() == ["x", "y"]
    first = np.array(_steps(frame["series"][0]), float)
    np.testing.assert_array_equal(first, [[1, 0.5], [2, 0], [3, np.nan]])


@given(st.permutations(range(12)))
@settings(deadline=None, max_examples=30)
def test_the_order_of_rows_does_not_change_a_series(order):
    ids, steps = [at % 3 for at in order], [at // 3 for at in order]
    rows = {"id": ids, "t": steps, "u": order, "v": [0] * 12, "label": [f"c{at}" for at in ids]}
    frame = _long(rows).set_index("row_id")["series"]
    for name in ("0", "1", "2"):
        expected = [int(name) + 3 * step for step in range(4)]
        assert [step[0] for step in frame[name]] == expected


@pytest.mark.parametrize("kind", [pa.int16(), pa.float64(), pa.timestamp("s"), pa.date32()])
def test_steps_may_be_numbers_or_times(kind):
    steps = pa.array([10, 2, 1], pa.int32())
    steps = steps.cast(kind) if not pa.types.is_timestamp(kind) else steps.cast("int64").cast(kind)
    rows = {"id": ["a"] * 3, "t": steps, "u": [3, 2, 1], "v": [0, 0, 0], "label": ["x"] * 3}
    assert [step[0] for step in _long(rows)["series"][0]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": ["1", "2"]}, "step column 't' must hold numbers or times, and it holds string"),
        ({"t": [1, None]}, "no 't' in 1 row;"),
        ({"id": ["a", None]}, "no 'id' in 1 row;"),
        (
            {"u": ["1", "low"]},
            r"column 'u' must hold numbers, and it holds string "
            r"\('low' of 'a'\); mend",
        ),
        ({"t": [1, 1]}, "1 steps are there twice with different values, in series 'a'"),
        ({"label": ["x", "y"]}, "'label' changes within series 'a'"),
    ],
)
def test_long_rows_that_do_not_fit_together_are_refused(change, message):
    rows = {"id": ["a", "a"], "t": [1, 2], "u": [1, 2], "v": [1, 2], "label": ["x", "x"]}
    with pytest.raises(DataError, match=message):
        _long(rows | change)


def test_a_batch_of_steps_delivered_twice_counts_once():
    once = {"id": ["a", "a"], "t": [0, 1], "u": [1.0, None], "v": [0, 0], "label": ["x", "x"]}
    twice = {name: values * 2 for name, values in once.items()}
    assert len(_long(twice)["series"][0]) == 2


def test_labels_and_series_without_each_other_stay():
    labels = pa.table({"id": ["a", "c"], "label": [1, 2], "part": ["train", "test"]})
    rows = {"id": ["a", "b"], "t": [0, 0], "u": [1, 2], "v": [1, 2]}
    with pytest.raises(DataError, match="split column 'part'"):
        _long(rows, labels, split="part")
    frame = _long(rows, labels)
    assert frame["row_id"].tolist() == ["a", "b", "c"]
    assert frame["label"].fillna("-").tolist() == ["1", "-", "2"]
    assert frame["series"].isna().tolist() == [False, False, True]


def test_one_list_a_channel_is_read():
    rows = {"id": ["a", "b", "c"], "u": [[1, 2], [], None], "v": [[3, None], [], [1]]}
    frame = _lists(rows | {"label": ["x", "y", "z"]})
    assert frame["series"].isna().tolist() == [False, False, True]
    np.testing.assert_array_equal(_steps(frame["series"][0]), [[1, 3], [2, np.nan]])
    assert _steps(frame["series"][1]) == []


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_one_column_of_steps_is_read(kind):
    steps = pa.array([[[1, 2], [3, 4]], None, [[5, 6]]], kind(kind(pa.float64())))
    rows = {"id": ["a", "b", "c"], "x": steps, "label": ["x", "y", "z"]}
    frame = _lists(rows, sequence=["x"])
    assert [_steps(value) for value in frame["series"]] == [[[1, 2], [3, 4]], None, [[5, 6]]]


def test_lists_of_fixed_size_are_read():
    fixed = pa.array([[1, 2], None], pa.list_(pa.int16(), 2))
    frame = _lists({"id": ["a", "b"], "u": fixed, "label": ["x", "y"]}, sequence=["u"])
    assert [_steps(value) for value in frame["series"]] == [[[1], [2]], None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u": [[1], [1, 2]]}, "row 1: 'v' has 1 steps and 'u' has 2"),
        ({"u": ["1,2", "3"]}, "column 'u' must hold lists of numbers, and it holds string"),
        ({"u": [["a"], ["b"]]}, "column 'u' must hold numbers, and it holds string"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(change, message):
    rows = {"id": ["a", "b"], "u": [[1], [2]], "v": [[1], [2]], "label": ["x", "y"]}
    with pytest.raises(DataError, match=message):
        _lists(rows | change)


def test_steps_of_unequal_channels_are_refused():
    rows = {"id": ["a"], "x": [[[1, 2], [3]]], "label": ["x"]}
    with pytest.raises(DataError, match="same number of channels"):
        _lists(rows, sequence=["x"])


def test_one_column_a_step_is_read_and_what_is_missing_at_the_end_was_no_step():
    rows = {"v2": [3, None, None, None], "v0": [1, 4, None, None], "v1": [2.5, None, 5, None]}
    found = _wide(rows)["series"]
    assert found.isna().tolist() == [False, False, False, True]
    assert [_steps(found[0]), _steps(found[1])] == [[[1], [2.5], [3]], [[4]]]
    np.testing.assert_array_equal(_steps(found[2]), [[np.nan], [5]])


def test_a_step_that_is_no_number_is_shown():
    with pytest.raises(DataError, match=r"column 'v1' must hold numbers.*\('n/a'"):
        _wide({"v0": [1, 2], "v1": ["0.5", "n/a"], "v2": [1, 2]})


@pytest.mark.parametrize("more", [{"sequence": ["u", "v"]}, {"step": "t", "id": "id"}])
def test_wide_rows_have_one_channel_and_no_step_column(more):
    with pytest.raises(ValueError, match="`wide` holds the steps of one channel"):
        pipeline_of(WIDE | more)


def test_no_rows_of_any_layout_are_an_empty_frame():
    nothing = {name: pa.nulls(0) for name in ("id", "t", "u", "v", "v0", "v1", "v2", "label")}
    assert len(canonical(pa.table(nothing), pipeline_of(WIDE))) == 0
    assert len(_long(nothing | {"t": pa.array([], pa.int64())})) == 0
    assert len(_lists(nothing)) == 0


def test_two_hundred_thousand_steps_are_grouped_in_seconds():
    rng = np.random.default_rng(1)
    ids = np.repeat(np.arange(2_000), 100)
    order = rng.permutation(len(ids))
    rows = {
        "id": ids[order],
        "t": np.tile(np.arange(100), 2_000)[order],
        "u": rng.normal(size=len(ids)),
        "v": rng.normal(size=len(ids)),
        "label": np.repeat("x", len(ids)),
    }
    start = time.process_time()
    frame = _long(rows)
    assert time.process_time() - start < 5
    values, offsets = flat(arrow(frame["series"]))
    assert values.shape == (200_000, 2)
    assert (np.diff(offsets) == 100).all()
