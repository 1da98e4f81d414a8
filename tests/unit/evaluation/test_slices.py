"""Slices: every row in exactly one slice of each cut, both models measured, few rows marked."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.inputs import MetricError
from tasks.evaluation.metrics import score
from tasks.evaluation.slices import MISSING, OTHERS, TOP_VALUES, members, slices
from tests.measured_night import answers, held_out_rows, labels


def cut(rows, by, columns=()):
    return {value: mask for name, value, mask in members(rows, columns) if name == by}


def texts(lengths):
    return pd.DataFrame({"text": [" ".join(["w"] * length) for length in lengths]})


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=80))
def test_length_slices_share_out_all_rows_and_do_not_overlap(lengths):
    parts = cut(texts(lengths), "length")
    if parts:
        assert (sum(mask.astype(int) for mask in parts.values()) == 1).all()
        assert len(parts) <= 4


def test_length_slices_are_quarters_named_by_their_words():
    parts = cut(texts(range(1, 41)), "length")
    expected = ["1 to 10 words", "11 to 20 words", "21 to 30 words", "31 to 40 words"]
    assert list(parts) == expected
    assert [mask.sum() for mask in parts.values()] == [10, 10, 10, 10]


def test_series_are_cut_by_their_steps():
    kind = pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))
    series = pd.Series([[[0.5]] * steps for steps in (2, 2, 9, 9)], dtype=kind)
    assert list(cut(pd.DataFrame({"series": series}), "length")) == ["2 steps", "9 steps"]


def held_out_rows_of_one_length_are_not_cut():
    assert cut(texts([3, 3, 3]), "length") == {}


@pytest.mark.parametrize(
    ("days", "names"),
    [
        (range(3), ["2026-01-01", "2026-01-02", "2026-01-03"]),
        (range(0, 40, 2), ["week of 2025-12-29", "week of 2026-01-05"]),
        (range(0, 200, 10), ["2026-01", "2026-02"]),
        (range(0, 700, 30), ["2026Q1", "2026Q2"]),
        (range(0, 3_600, 300), ["2026", "2027"]),
    ],
)
def test_time_is_cut_by_the_finest_calendar_unit_that_stays_readable(days, names):
    start = pd.Timestamp("2026-01-01", tz="UTC")
    rows = texts([1] * len(days))
    rows["time"] = pd.Series([start + pd.Timedelta(day, "D") for day in days]).astype(
        "datetime64[us, UTC]"
    )
    assert list(cut(rows, "time"))[:2] == names[:2]


def held_out_rows_without_a_time_have_a_slice_of_their_own():
    rows = texts([1, 1, 1])
    rows["time"] = pd.Series(["2026-01-01", None, "2026-01-02"], dtype="datetime64[us, UTC]")
    assert cut(rows, "time")[MISSING].tolist() == [False, True, False]


def test_rare_values_are_gathered_and_missing_ones_named():
    values = [f"value {number}" for number in range(TOP_VALUES) for _ in range(2)]
    rows = texts([1] * (len(values) + 3))
    rows["shop"] = pd.Series([*values, "seldom", "rare", None], dtype="str")
    parts = cut(rows, "shop", ["shop"])
    assert len(parts) == TOP_VALUES + 2
    assert parts[OTHERS].sum() == 2
    assert parts[MISSING].tolist() == [False] * (len(values) + 2) + [True]


def test_a_slice_column_the_rows_lack_is_refused_by_name():
    with pytest.raises(MetricError, match="no column 'shop'"):
        cut(texts([1, 2]), "shop", ["shop"])


def test_both_models_are_measured_on_each_slice_and_few_rows_are_marked():
    rows, truth = held_out_rows(), labels("test")
    strong, weak = answers(truth, 3.0), answers(truth, 0.5, seed=1)
    found = slices(rows, truth, strong, weak, columns=["channel"], samples=100)
    by_channel = {part.value: part for part in found if part.by == "channel"}
    mask = (rows["channel"] == "chat").to_numpy(bool)
    chat = by_channel["chat"]
    assert chat.rows == mask.sum()
    assert chat.challenger["macro_f1"].value == score(truth[mask], strong[mask])["macro_f1"]
    assert chat.champion["macro_f1"].value == score(truth[mask], weak[mask])["macro_f1"]
    assert chat.difference["macro_f1"].low > 0
    assert chat.reliable
    assert not by_channel[MISSING].reliable


def test_without_a_champion_only_the_challenger_is_measured():
    truth = labels("test")
    found = slices(held_out_rows(), truth, answers(truth, 1.0), samples=100)
    assert {part.by for part in found} == {"length", "time"}
    assert all(not part.champion and not part.difference for part in found)


def held_out_rows_and_labels_must_be_as_many():
    truth = labels("test")
    with pytest.raises(MetricError, match="299 rows for 300 labels"):
        slices(held_out_rows()[1:], truth, answers(truth, 1.0))


def test_slices_are_the_same_every_time():
    truth = np.asarray(labels("test"))
    given_answers = answers(truth, 1.0)
    first, second = (slices(held_out_rows(), truth, given_answers, samples=100) for _ in range(2))
    assert first == second
