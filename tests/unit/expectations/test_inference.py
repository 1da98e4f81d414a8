"""A suite inferred from data holds on it and fails on what it never saw."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from expectations.inference import infer_suite
from expectations.suites import normalised
from expectations.terms import History
from expectations.validation import check
from tests.frames import SERIES, series_terms, text_terms, tickets, waves

CASES = [(tickets(), text_terms()), (waves(), series_terms())]


def _check(frame, terms, suite, folder):
    return check(frame, terms, suite, history=History(), docs_dir=folder)


@pytest.mark.parametrize(("frame", "terms"), CASES, ids=["text", "series"])
def test_the_data_pass_their_own_suite(frame, terms, tmp_path):
    suite = json.loads(json.dumps(infer_suite(frame, terms)))
    report = _check(frame, terms, suite, tmp_path)
    assert report.findings == ()
    plain = _check(frame, terms, None, tmp_path)
    assert report.evaluated == plain.evaluated + len(suite["expectations"])


@pytest.mark.parametrize(("frame", "terms"), CASES, ids=["text", "series"])
def test_every_option_and_a_sentence_are_written_out(frame, terms):
    for entry in infer_suite(frame, terms)["expectations"]:
        assert entry["meta"]["rule"]
        assert entry["severity"] in ("critical", "warning", "info")
        if "column_values" in entry["type"]:
            assert entry["kwargs"]["mostly"] == 1.0
        if "between" in entry["type"]:
            assert {"min_value", "max_value", "strict_min", "strict_max"} <= entry["kwargs"].keys()


def test_a_value_far_outside_goes_to_quarantine(tmp_path):
    suite = infer_suite(waves(), series_terms())
    series = waves()["series"].tolist()
    series[4] = [[-1.0, 77.0]]
    report = _check(
        waves().assign(series=pd.Series(series, dtype=SERIES)), series_terms(), suite, tmp_path
    )
    assert [*report.bad_rows.index] == [4]
    assert "every value is between" in report.bad_rows["reason"].iloc[0]


def test_a_time_of_1970_goes_to_quarantine(tmp_path):
    suite = infer_suite(tickets(), text_terms())
    frame = tickets()
    frame.loc[4, "time"] = pd.Timestamp(0, tz="UTC")
    report = _check(frame, text_terms(), suite, tmp_path)
    assert [*report.bad_rows.index] == [4]
    assert "as 1970-01-01 would be" in report.bad_rows["reason"].iloc[0]


def test_a_slice_never_seen_only_tells(tmp_path):
    suite = infer_suite(tickets(), text_terms())
    frame = tickets()
    frame.loc[4, "channel"] = "fax"
    report = _check(frame, text_terms(), suite, tmp_path)
    assert [f.severity for f in report.findings] == ["info"]
    assert report.bad_rows.empty


def test_a_suite_of_no_rows_asks_nothing():
    suite = infer_suite(tickets().iloc[:0], text_terms())
    assert normalised(suite) == []


def test_inferring_does_not_import_great_expectations():
    code = "import sys, expectations.inference; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
