import logging
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Split
from tasks.datasets.errors import DataError
from tasks.datasets.splits import SIDES, assign, codes_of

FIXED = "rrererrrrear"  # t[r]ain, v[a]lidation, t[e]st
QUIET = settings(deadline=None, max_examples=50)
IDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40, unique=True)


def _frame(ids, **columns):
    frame = pd.DataFrame({"row_id": pd.Series(list(ids), dtype="str")})
    frame["label"] = "a"
    for name, values in columns.items():
        frame[name] = pd.Series(list(values), dtype=None if name == "time" else "str")
    return frame


def _sides(frame, split=None):
    return dict(zip(frame["row_id"], assign(frame, split or Split()), strict=True))


def _shares(sides):
    return {side: float((sides == side).mean()) for side in ("train", "validation", "test")}


@given(IDS, IDS)
@QUIET
def test_new_rows_never_move_old_ones(old, new):
    before = _sides(_frame(old))
    after = _sides(_frame([*(name for name in new if name not in before), *reversed(old)]))
    assert {name: after[name] for name in before} == before


@given(IDS, st.data())
@QUIET
def test_a_group_is_never_parted(ids, data):
    groups = data.draw(st.lists(st.sampled_from("ABC"), min_size=len(ids), max_size=len(ids)))
    frame = _frame(ids, group=groups)
    frame["side"] = assign(frame, Split())
    pairs = frame[["group", "side"]].drop_duplicates()
    assert pairs["group"].is_unique


@given(IDS, st.floats(0.0, 0.4), st.floats(0.0, 0.4))
@QUIET
def test_changing_the_validation_share_leaves_the_test_rows_alone(ids, one, other):
    first, second = (
        assign(_frame(ids), Split(test=0.2, validation=share)) == "test" for share in (one, other)
    )
    assert (first == second).all()


def test_the_sides_of_these_ids_are_fixed_for_ever():
    sides = assign(_frame([f"row-{at}" for at in range(12)]), Split())
    assert "".join(side[1] for side in sides) == FIXED


def test_shares_hold_on_average():
    shares = _shares(assign(_frame(f"t{at}" for at in range(20_000)), Split()))
    assert shares["test"] == pytest.approx(0.2, abs=0.01)
    assert shares["validation"] == pytest.approx(0.15, abs=0.01)


def test_a_row_without_group_goes_by_its_id():
    alone = _sides(_frame(["x", "y"]))
    mixed = _sides(_frame(["x", "y", "z"], group=[None, None, "G"]))
    assert {name: mixed[name] for name in alone} == alone


def _timed(days, **columns):
    times = pd.to_datetime(
        pd.Series(days, dtype="float64"), unit="D", origin="2026-01-01", utc=True
    )
    return _frame((f"t{at}" for at in range(len(days))), time=times, **columns)


def test_by_time_the_oldest_train_and_the_newest_test():
    days = np.random.default_rng(0).permutation(1_000)
    frame = _timed(days)
    frame["side"] = assign(frame, Split(by="time"))
    span = frame.groupby("side")["time"].agg(["min", "max", "size"])
    assert span.loc["train", "max"] < span.loc["validation", "min"]
    assert span.loc["validation", "max"] < span.loc["test", "min"]
    assert span["size"].to_dict() == {"train": 650, "validation": 150, "test": 200}


def test_by_time_a_row_without_time_trains():
    frame = _timed([*range(9), None])
    assert assign(frame, Split(by="time", test=0.3))[-1] == "train"


def test_by_time_a_group_stands_where_its_oldest_row_stands():
    groups = [f"G{at}" for at in range(90)] + ["G0"] * 10
    frame = _timed(list(range(100)), group=groups)
    sides = assign(frame, Split(by="time"))
    assert set(sides[90:]) == {"train"}
    assert sides[89] == "test"


@given(st.lists(st.integers(0, 30), min_size=2, max_size=40))
@settings(deadline=None, max_examples=20)
def test_by_time_newer_rows_only_ever_move_a_row_towards_train(days):
    frame = _timed(days)
    later = pd.concat([frame, _timed([31, 32]).assign(row_id=["n1", "n2"])], ignore_index=True)
    rank = {"test": 0, "validation": 1, "train": 2}
    before, after = _sides(frame, Split(by="time")), _sides(later, Split(by="time"))
    assert all(rank[after[name]] >= rank[side] for name, side in before.items())


def _by_time_as_it_was(frame, split):
    """Sides by time over all units by name, in one frame."""
    units = ("group:" + frame["group"]).fillna(frame["row_id"])
    rows = pd.DataFrame({"unit": units, "time": frame["time"]})
    found = rows.groupby("unit").agg(oldest=("time", "min"), rows=("unit", "size")).reset_index()
    found = found.sort_values(["oldest", "unit"], ascending=[False, True], na_position="last")
    newer = (found["rows"].cumsum() - found["rows"]) / len(rows)
    newer = newer.mask(found["oldest"].isna(), 1.0)
    at = units.map(pd.Series(newer.to_numpy(), found["unit"].to_numpy()))
    bounds = [at < split.test, at < split.test + split.validation]
    return np.select(bounds, ["test", "validation"], "train")


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 40, 400]), st.sampled_from([0, 0.3, 1]))
@QUIET
def test_by_time_in_parts_and_by_hashes_gives_the_sides_that_names_give(seed, days, grouped):
    random, rows = np.random.default_rng(seed), 300
    day = pd.Series(pd.to_datetime(random.integers(0, days, rows), unit="D", utc=True))
    day[random.random(rows) < 0.05] = pd.NaT
    group = np.where(random.random(rows) < grouped, random.choice(list("ABCDEFGH"), rows), None)
    frame = _frame([f"r{number}" for number in random.permutation(rows)], time=day, group=group)
    ends = [0, *np.sort(random.integers(0, rows, 3)), rows]
    split = Split(by="time", test=0.2, validation=0.15)
    codes = codes_of(lambda: (frame.iloc[a:b] for a, b in pairwise(ends)), split)
    assert np.array(SIDES)[codes].tolist() == _by_time_as_it_was(frame, split).tolist()


def test_an_official_split_is_kept():
    given_sides = ["train", "validation", "test", "train"]
    frame = _frame("abcd", split=given_sides)
    assert assign(frame, Split(by="column")).tolist() == given_sides


def test_validation_is_carved_out_of_train_where_there_is_none():
    ids = [f"t{at}" for at in range(4_000)]
    frame = _frame(ids, split=["train"] * 3_000 + ["test"] * 1_000)
    sides = assign(frame, Split(by="column", validation=0.1))
    assert (sides[3_000:] == "test").all()
    assert (sides[:3_000] == "validation").mean() == pytest.approx(0.1, abs=0.02)
    again = assign(frame.iloc[::2].reset_index(drop=True), Split(by="column", validation=0.1))
    assert (again == sides[::2]).all()


@pytest.mark.parametrize("split", [["train", "train"], ["test", "test"]])
def test_a_split_column_needs_train_and_test(split):
    with pytest.raises(DataError, match="needs train and test rows; the column gives"):
        assign(_frame("ab", split=split), Split(by="column"))


def test_a_class_that_misses_a_side_is_told(caplog):
    frame = _frame("abc")
    with caplog.at_level(logging.WARNING):
        assign(frame, Split())
    assert "class 'a' has 3 rows and none of them in" in caplog.text


def test_enough_rows_of_each_class_are_no_news(caplog):
    with caplog.at_level(logging.WARNING):
        assign(_frame(f"t{at}" for at in range(500)), Split())
    assert caplog.text == ""


def test_no_rows_have_no_sides():
    assert assign(_frame([]), Split()).tolist() == []
    assert assign(_timed([]), Split(by="time")).tolist() == []
