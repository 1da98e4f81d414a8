"""Quiet days, drifted days, and what can be said of accuracy before and after labels come."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.drift.accuracy import estimated
from tasks.drift.day import commonest, judged, thinned
from tasks.drift.labels import true_accuracy
from tasks.drift.looks import features, hashed, not_compared
from tests import live_days

ASKED = {"permutations": 499, "seed": 1}


def moved(found, level=0.01):
    return {one.feature for one in found.moved if one.among <= level}


@pytest.fixture(scope="module")
def reference():
    return live_days.texts(600, 0)


def test_a_quiet_day_is_quiet_in_every_feature(reference):
    found = judged(live_days.texts(600, 1), reference, **ASKED)
    assert {one.feature for one in found.moved} == {
        "label mix", "confidence", "length", "unknown words", "words", "embedding",
    }  # fmt: skip
    assert moved(found) == set()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"confidence": 3.0}, {"confidence"}),
        ({"foreign": 0.08}, {"unknown words", "words", "embedding"}),
        ({"mix": (0.3, 0.3, 0.4)}, {"label mix"}),
    ],
    ids=["less sure", "foreign words", "other classes"],
)
def test_what_moves_is_found_and_nothing_else_is(reference, change, seen):
    found = judged(live_days.texts(600, 1, **change), reference, **ASKED)
    assert moved(found) == seen
    assert found.moved[0].feature in seen
    if "words" in seen:
        said = {one.feature: one.said for one in found.moved}
        assert "'foreign'" in said["words"]


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({}, set()),
        ({"shift": 0.5}, {"left: level"}),
        ({"missing": 0.3}, {"left: missing", "left: range"}),
    ],
    ids=["quiet", "level", "missing"],
)
def test_series_are_compared_channel_by_channel(change, seen):
    day = live_days.series(400, 1, **change)
    found = judged(day, live_days.series(400, 0), channels=("left", "right"), **ASKED)
    assert moved(found) == seen
    assert {one.feature for one in found.moved} >= {"left: level", "right: missing", "length"}


def test_redacted_text_is_not_compared_and_that_is_said(reference):
    day = live_days.texts(300, 1)
    at = day.column_names.index("text")
    redacted = day.set_column(at, "text", pa.nulls(day.num_rows, pa.string()))
    assert {one.name for one in features(redacted, reference)} == {
        "label mix", "confidence", "length", "unknown words",
    }  # fmt: skip
    assert not_compared(redacted) == ["words and embedding: the log holds no text"]
    assert not_compared(day) == []


def test_what_redaction_leaves_of_a_name_or_a_number_is_what_cleaning_leaves():
    told = hashed(pa.array(["Call 0800 12 or mail a@b.example at https://a.example/b", ""]))
    redacted = hashed(pa.array(["call <number> or mail <user> at <url>", ""]))
    assert told.values.tolist() == redacted.values.tolist()


def test_accuracy_is_estimated_from_confidence_alone():
    rng = np.random.default_rng(0)
    sure, unsure = rng.beta(8, 2, 4_000), rng.beta(4, 3, 4_000)
    right = rng.random(4_000) < sure - 0.1  # too sure of itself by 0.1
    found = estimated(sure, right, unsure)
    assert found.reference == pytest.approx(0.7, abs=0.03)
    assert found.low < unsure.mean() - 0.1 < found.high
    assert found.high - found.low < 0.04
    assert found.thresholded < found.reference
    same = estimated(sure, right, sure)
    assert same.value == pytest.approx(found.reference)


def test_accuracy_is_known_where_the_same_input_has_a_label_by_now():
    day = live_days.texts(50, 4)
    answers = day.column("label").to_pylist()
    rows = pd.DataFrame({"text": pd.Series(day.column("text").to_pylist(), dtype="str")})
    rows["label"] = pd.Series([*answers[:20], *["other"] * 5, *[None] * 25], dtype="str")
    assert true_accuracy(day, rows) == (pytest.approx(20 / 25), 25)
    twice = pd.concat([rows, rows.iloc[:1].assign(label="another")], ignore_index=True)
    assert true_accuracy(day, twice)[1] == 24  # nobody knows which of two labels is right
    value, found = true_accuracy(day, rows.iloc[25:])
    assert (np.isnan(value), found) == (True, 0)


def test_the_version_that_answered_most_is_judged():
    assert commonest([]) is None
    assert commonest(["9", "10", "10", "9"]) == "10"
    assert commonest(["1", "1", "2"]) == "1"


def test_a_day_is_thinned_at_random_and_stays_in_order(reference):
    few = thinned(reference, 50, 3)
    places = [int(name[1:]) for name in few.column("row_id").to_pylist()]
    assert places == sorted(places)
    assert len(set(places)) == 50
    assert thinned(reference, 10_000, 3) is reference
