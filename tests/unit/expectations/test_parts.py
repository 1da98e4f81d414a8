"""Rows that come in parts are judged as if they came as one."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.audit import audit
from expectations.rows import parts_of
from expectations.terms import History, Night
from expectations.twins import Twins
from expectations.validation import check
from tests.frames import CLASSES, series_terms, text_terms, tickets, waves

COLUMN = "expect_column_"
SUITE = [
    {"type": f"{COLUMN}values_to_be_between", "kwargs": {"column": "characters", "max_value": 70}},
    {
        "type": f"{COLUMN}values_to_be_between",
        "kwargs": {"column": "characters", "max_value": 60, "mostly": 0.5},
        "severity": "warning",
    },
    {
        "type": f"{COLUMN}proportion_of_unique_values_to_be_between",
        "kwargs": {"column": "text", "min_value": 0.999},
        "severity": "info",
    },
    {
        "type": f"{COLUMN}median_to_be_between",
        "kwargs": {"column": "length", "max_value": 5},
        "severity": "warning",
    },
    {"type": f"{COLUMN}values_to_be_unique", "kwargs": {"column": "time"}, "severity": "warning"},
    {
        "type": f"{COLUMN}most_common_value_to_be_in_set",
        "kwargs": {"column": "channel", "value_set": ["fax"]},
        "severity": "info",
    },
    {"type": "expect_table_column_count_to_equal", "kwargs": {"value": 3}, "severity": "info"},
    {"type": f"{COLUMN}to_exist", "kwargs": {"column": "nowhere"}, "severity": "info"},
]


def _broken():
    """Tickets that break many rules, bad rows and twins far from each other."""
    frame = tickets(900).sort_values("row_id").reset_index(drop=True)
    frame.loc[[3, 898], "text"] = None
    frame.loc[899, "text"] = "N/A"
    frame.loc[897, "text"] = " " + frame.loc[0, "text"]
    frame.loc[897, "label"] = next(one for one in CLASSES if one != frame.loc[0, "label"])
    frame.loc[896, ["text", "label"]] = [frame.loc[1, "text"] + " ", frame.loc[1, "label"]]
    frame.loc[895, "label"] = "late"
    frame.loc[20:40, "text"] = frame.loc[20:40, "text"] + " and many more words than usual here"
    frame.loc[[50, 800], "time"] = frame.loc[60, "time"]
    return frame


def _cut(frame, rows):
    return lambda: (
        frame.iloc[at : at + rows].reset_index(drop=True) for at in range(0, len(frame), rows)
    )


def _judged(rows, reference, folder, terms, suite=None):
    nights = (Night("2026-03-19", 900, dict.fromkeys(CLASSES, 300)),)
    history = History(nights, reference)
    report = check(rows, terms, suite, history=history, docs_dir=folder, dropped=7)
    pages = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    return report, pages


@pytest.mark.parametrize("rows", [7, 250, 899])
def test_reports_are_equal(rows, tmp_path):
    frame, before = _broken(), tickets(900, 5).sort_values("row_id").reset_index(drop=True)
    terms = text_terms(new_class="quarantine")
    if rows == 7:
        frame, before = frame[880:], before[:20]
    one, _ = _judged(frame.reset_index(drop=True), before, tmp_path / "one", terms, SUITE)
    several, _ = _judged(_cut(frame, rows), _cut(before, 300), tmp_path / "many", terms, SUITE)
    assert several.findings == one.findings
    pd.testing.assert_frame_equal(several.bad_rows, one.bad_rows)
    assert (several.accepted, several.reason) == (one.accepted, one.reason)
    assert several.evaluated == one.evaluated
    assert rows == 7 or len(one.bad_rows) > 20


def test_data_docs_are_equal_but_for_the_run(tmp_path):
    frame = _broken()
    terms = text_terms(new_class="quarantine")
    suite = SUITE[2:]  # of more than twenty values, the most frequent are those of each part
    _, one = _judged(frame, None, tmp_path / "one", terms, suite)
    _, many = _judged(_cut(frame, 250), None, tmp_path / "many", terms, suite)
    assert one.keys() == many.keys()
    for name in one:
        assert _words(many[name]) == _words(one[name]), name


def _words(page):
    """A page without what differs from run to run."""
    return re.sub(r"<[^>]+>|[0-9a-f-]{32,}|\d{8}T[\d.]+Z", " ", page).split()


def test_a_bad_row_in_the_last_part_is_told_by_its_own_id(tmp_path):
    frame = tickets(300).sort_values("row_id").reset_index(drop=True)
    frame.loc[299, "text"] = None
    report, _ = _judged(_cut(frame, 128), None, tmp_path, text_terms())
    assert report.bad_rows["row_id"].tolist() == [frame.loc[299, "row_id"]]
    assert report.bad_rows.index.tolist() == [299]
    assert any(frame.loc[299, "row_id"] in finding.message for finding in report.findings)


def test_a_text_column_that_is_missing_is_told_once(tmp_path):
    frame = tickets(300).drop(columns="text")
    one, _ = _judged(frame, None, tmp_path / "one", text_terms(), SUITE[:1])
    many, _ = _judged(_cut(frame, 128), None, tmp_path / "many", text_terms(), SUITE[:1])
    assert many.findings == one.findings
    assert not many.accepted


def test_series_in_parts_are_judged_as_one(tmp_path):
    frame = waves(120).sort_values("row_id").reset_index(drop=True)
    rows = frame["series"].tolist()
    rows[5], rows[119], rows[100] = [], None, rows[0]
    frame["series"] = pd.Series(rows, dtype=frame["series"].dtype)
    frame.loc[100, "label"] = next(one for one in CLASSES if one != frame.loc[0, "label"])
    terms = series_terms(quarantine_budget=0.5)
    one, _ = _judged(frame, waves(120, seed=3), tmp_path / "one", terms)
    many, _ = _judged(_cut(frame, 50), _cut(waves(120, seed=3), 7), tmp_path / "many", terms)
    assert many.findings == one.findings
    pd.testing.assert_frame_equal(many.bad_rows, one.bad_rows)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", " a", "b", "", None]),
            st.sampled_from(["x", "y", None]),
            st.sampled_from(["train", "test"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_twins_are_found_across_parts(rows, size):
    columns = dict(zip(("text", "label", "split"), zip(*rows, strict=True), strict=True))
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})
    frame["row_id"] = [str(at) for at in range(len(frame))]
    whole = audit(frame, text_terms())
    twins = Twins.of(parts_of(_cut(frame, size)), text_terms())
    found = list(twins.cut())
    for name in ("repeats", "conflicts"):
        assert np.concatenate([part[name] for part in found]).tolist() == whole[name].tolist()
    said = [
        sum(
            r[0] is not None and r[0].strip() != "" and (r[0].strip(), r[1]) == (t.strip(), label)
            for r in rows[:at]
            if r[0] is not None
        )
        for at, (t, label, _) in enumerate((r[0] or "", r[1], r[2]) for r in rows)
    ]
    expected = [n if (rows[at][0] or "").strip() else 0 for at, n in enumerate(said)]
    assert whole["repeats"].tolist() == expected
