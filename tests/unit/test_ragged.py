"""Ragged rows against the plain lists they stand for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ragged import Examples, Ragged

ROWS = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8)


def ragged(rows):
    return Ragged.of([np.array(row, np.int32) for row in rows])


def listed(rows):
    return [
        rows.values[start:end].tolist()
        for start, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)
    ]


@settings(deadline=None)
@given(ROWS)
def test_rows_come_out_as_they_went_in(rows):
    assert listed(ragged(rows)) == rows
    assert ragged(rows).lengths.tolist() == [len(row) for row in rows]


@settings(deadline=None)
@given(ROWS, st.data())
def test_taking_rows_repeats_and_reorders_them(rows, data):
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    assert listed(ragged(rows).take(np.array(wanted, np.int64))) == [rows[row] for row in wanted]


@settings(deadline=None)
@given(ROWS, st.integers(0, 8))
def test_padding_is_on_the_right_and_the_mask_says_where(rows, length):
    dense = ragged(rows).padded(length)
    assert dense.tolist() == [(row + [0] * length)[:length] for row in rows]
    mask = ragged(rows).mask(length)
    assert mask.sum(axis=1).tolist() == [min(len(row), length) for row in rows]


@settings(deadline=None)
@given(ROWS, st.integers(0, 8))
def test_cutting_keeps_the_first_steps(rows, length):
    assert listed(ragged(rows).cut(length)) == [row[:length] for row in rows]


@settings(deadline=None)
@given(ROWS, ROWS)
def test_joining_puts_one_part_after_the_other(first, second):
    assert listed(Ragged.joined([ragged(first), ragged(second)])) == first + second


def test_channels_survive_padding_cutting_and_taking():
    steps = np.arange(12, dtype=np.float32).reshape(6, 2)
    rows = Ragged.of([steps[:4], steps[4:]])
    assert rows.padded().shape == (2, 4, 2)
    assert rows.cut(3).take(np.array([1, 0])).values.tolist() == steps[[4, 5, 0, 1, 2]].tolist()


def test_no_rows_at_all_are_refused_because_their_type_is_unknown():
    with pytest.raises(ValueError, match="at least one row"):
        Ragged.of([])


def test_examples_come_back_from_disk_and_are_never_unpickled(tmp_path):
    examples = Examples(
        ragged([[1, 2], [], [3]]), np.array([0, 1, 0], np.int32), np.array(["a", "b", "c"])
    )
    examples.save(tmp_path)
    loaded = Examples.load(tmp_path)
    assert listed(loaded.inputs) == [[1, 2], [], [3]]
    assert loaded.labels.tolist() == [0, 1, 0]
    assert Examples.joined([loaded, loaded.take(np.array([2]))]).row_ids.tolist() == list("abcc")
    np.save(tmp_path / "row_ids.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        Examples.load(tmp_path)
