"""The scalar facts that suites are written on."""

import math

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from expectations.audit import audit
from expectations.series import fingerprints
from tests.frames import SERIES, series_terms, text_terms, tickets, waves

NUMBERS = st.one_of(st.none(), st.floats(width=32, allow_infinity=True, allow_nan=True))
STEPS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=6)
ROWS = st.lists(st.one_of(st.none(), STEPS), min_size=1, max_size=8)


def _series(rows):
    return pd.Series(rows, dtype=SERIES)


@settings(deadline=None)
@given(ROWS)
def test_facts_of_series_are_those_of_a_plain_loop(rows):
    frame = pd.DataFrame({"row_id": "r", "label": "a", "series": _series(rows)})
    facts = audit(frame, series_terms())
    for at, row in enumerate(rows):
        values = [math.nan if v is None else v for step in row or [] for v in step]
        known = [v for v in values if math.isfinite(v)]
        got = facts.loc[at]
        assert got["length"] == len(row) if row is not None else math.isnan(got["length"])
        assert got["infinite"] == sum(math.isinf(v) for v in values)
        share = sum(math.isnan(v) for v in values) / len(values) if values else 0
        assert got["missing_share"] == pytest.approx(share)
        assert got["channels"] == (2 if row else 0)
        if known:
            assert got["smallest"] == min(known)
            assert got["largest"] == max(known)


@settings(deadline=None)
@given(ROWS)
def test_equal_series_have_equal_fingerprints_and_different_ones_do_not(rows):
    prints = fingerprints(_series(rows)).tolist()
    plain = [None if not row else repr([[_same(v) for v in step] for step in row]) for row in rows]
    for one, left in zip(plain, prints, strict=True):
        for other, right in zip(plain, prints, strict=True):
            if one is not None and other is not None:
                assert (one == other) == (left == right)
            else:
                assert pd.isna(left) == (one is None)


def _same(value):
    return np.float32(math.nan if value is None else value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("two words", 2),
        ("  spaced   out ", 2),
        ("tab\tand\nline", 3),
        ("no\u00a0break", 2),
        ("  ", 0),
    ],
)
def test_words_are_what_stands_between_spaces_of_any_kind(text, words):
    frame = tickets().assign(text=pd.Series([text] * 300, dtype="str"))
    assert audit(frame, text_terms())["length"].eq(words).all()


def test_twins_are_counted_without_blanks_and_missing_labels():
    frame = pd.DataFrame(
        {
            "row_id": [*"abcdefg"],
            "label": ["x", "x", "y", None, "x", "y", "x"],
            "text": ["same", " same ", "same", "same", " ", " ", "other"],
        }
    )
    facts = audit(frame, text_terms())
    assert facts["repeats"].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert facts["conflicts"].tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_validation_and_test_rows_of_an_official_split_never_conflict():
    frame = pd.DataFrame(
        {"row_id": [*"ab"], "label": ["x", "y"], "text": "same", "split": ["train", "test"]}
    )
    assert audit(frame, text_terms())["conflicts"].tolist() == [1, 0]


def test_a_source_column_named_like_a_fact_keeps_a_name():
    facts = audit(tickets().assign(length="long"), text_terms())
    assert facts["column.length"].eq("long").all()
    assert facts["length"].gt(3).all()


def test_text_of_any_storage_is_str_and_numbers_stay_numbers():
    frame = tickets()
    for storage in ("object", "string", "str"):
        assert str(audit(frame.astype({"text": storage}), text_terms())["text"].dtype) == "str"
    assert str(audit(frame.assign(text=1), text_terms())["text"].dtype) == "int64"


def test_a_measurement_that_happens_to_be_999_is_no_sentinel():
    rows = [[[float(v), 1.0]] for v in np.linspace(0, 2000, 51)]
    rows[7] = [[999.0, 1.0]]
    frame = waves(51).assign(series=_series(rows))
    assert audit(frame, series_terms())["sentinels"].sum() == 0
    rows[7] = [[9999.0, 9999.0]]
    facts = audit(frame.assign(series=_series(rows)), series_terms())
    assert facts["sentinels"].tolist() == [2.0 if at == 7 else 0.0 for at in range(51)]
