"""Suites in git, and the traps of Great Expectations that they must not fall into."""

import json
import logging
import os

import numpy as np
import pandas as pd
import pytest

from expectations.suites import evaluate, normalised, read_suite
from expectations.terms import History, SuiteError
from expectations.validation import check
from tests.frames import text_terms, tickets

BETWEEN = "expect_column_values_to_be_between"
FRAME = pd.DataFrame({"length": np.arange(100)})


def _between(**kwargs):
    return {"type": BETWEEN, "kwargs": {"column": "length", **kwargs}}


def _report(suite, tmp_path, frame=None):
    frame = tickets() if frame is None else frame
    return check(frame, text_terms(), suite, history=History(), docs_dir=tmp_path)


def test_an_unknown_type_is_refused_with_the_nearest_one_not_dropped():
    asked = normalised([_between(min_value=0), {"type": "expect_column_values_to_not_be_nul"}])
    with pytest.raises(
        SuiteError, match=r"expectation 1: unknown type .*'expect_column_values_to_not_be_null'"
    ):
        evaluate(FRAME, asked, "trial")


def test_a_misspelled_option_is_refused_with_the_nearest_one():
    with pytest.raises(SuiteError, match=r"unknown option 'min_valu'; did you mean 'min_value'"):
        evaluate(FRAME, normalised([_between(min_valu=1)]), "trial")


def test_an_option_that_is_missing_is_named():
    with pytest.raises(SuiteError, match="column: field required"):
        evaluate(FRAME, normalised([{"type": "expect_column_to_exist"}]), "trial")


def test_every_expectation_is_evaluated_in_the_order_asked():
    asked = normalised([_between(min_value=50), _between(max_value=1000), _between(min_value=50)])
    evaluation = evaluate(FRAME, asked, "trial")
    assert [outcome.success for outcome in evaluation.outcomes] == [False, True, False]
    assert [*evaluation.outcomes[2].rows] == [*range(50)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"rules": []}, "a suite is a list"),
        ("all", "a suite is a list"),
        (["expect_column_to_exist"], "expected {\"type\""),
        ([{"type": BETWEEN, "kwarg": {}}], "unknown key 'kwarg'; did you mean 'kwargs'"),
        ([{"type": BETWEEN, "severity": "warn"}], "did you mean 'warning'"),
        ([{"type": BETWEEN, "kwargs": ["column"]}], "kwargs must be a mapping"),
    ],
)  # fmt: skip
def test_what_is_no_suite_is_refused(content, says):
    with pytest.raises(SuiteError) as refused:
        normalised(content)
    assert says in str(refused.value)


def test_a_suite_exported_by_great_expectations_is_read(tmp_path):
    path = tmp_path / "exported.json"
    entry = {**_between(min_value=1), "id": "5f", "rendered_content": [], "meta": None}
    path.write_text(json.dumps({"name": "exported", "expectations": [entry]}))
    (read,) = read_suite(path)
    assert (read["severity"], read["meta"]) == ("critical", {})


def test_a_missing_or_broken_file_says_what_to_do(tmp_path):
    with pytest.raises(SuiteError, match="no such suite; write one with `nocturne init`"):
        read_suite(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SuiteError, match=r"broken\.json: cannot be read as JSON"):
        read_suite(tmp_path / "broken.json")


def test_rows_that_mostly_tolerates_do_not_go_to_quarantine(tmp_path):
    report = _report([_between(max_value=10, mostly=0.3)], tmp_path)
    assert report.accepted
    assert report.bad_rows.empty


def test_rows_of_a_failing_warning_go_to_quarantine(tmp_path):
    frame = tickets()
    frame.loc[5, "text"] = "a text with some " + "more " * 20
    suite = [{**_between(max_value=20), "severity": "warning", "meta": {"rule": "short texts"}}]
    report = _report(suite, tmp_path, frame)
    assert report.accepted
    assert [*report.bad_rows["reason"]] == ["short texts (got 24)"]


def test_a_failing_info_only_tells(tmp_path):
    suite = [{**_between(max_value=1), "severity": "info"}]
    report = _report(suite, tmp_path)
    assert report.accepted
    assert report.bad_rows.empty
    assert [finding.severity for finding in report.findings] == ["info"]


@pytest.mark.parametrize(
    ("severity", "accepted"), [("critical", False), ("warning", True), ("info", True)]
)
def test_a_failing_rule_about_the_table_stops_the_batch_only_where_it_is_critical(
    severity, accepted, tmp_path
):
    mean = {
        "type": "expect_column_mean_to_be_between",
        "kwargs": {"column": "length", "min_value": 1000},
        "severity": severity,
    }
    report = _report([mean], tmp_path)
    assert report.accepted is accepted
    assert report.bad_rows.empty
    assert "observed 1" in report.findings[0].message


def test_a_rule_that_cannot_be_computed_stops_the_batch_and_names_the_columns(tmp_path):
    suite = [{**_between(max_value=1), "severity": "info"}]
    suite[0]["kwargs"]["column"] = "chanel"
    report = _report(suite, tmp_path)
    assert not report.accepted
    assert "could not be evaluated" in report.reason
    assert "channel" in report.reason


def test_a_rule_on_pairs_of_columns_finds_its_rows(tmp_path):
    frame = tickets()
    frame.loc[9, "channel"] = frame.loc[9, "label"]
    pairs = {
        "type": "expect_select_column_values_to_be_unique_within_record",
        "kwargs": {"column_list": ["channel", "label"]},
    }
    report = _report([pairs], tmp_path, frame)
    assert [*report.bad_rows.index] == [9]


def test_a_pattern_with_groups_is_fine(tmp_path):
    groups = {
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "text", "regex": "(ticket) (number)"},
    }
    assert _report([groups], tmp_path).findings == ()


def test_nothing_is_printed_and_nobody_is_told(tmp_path, capfd, caplog):
    with caplog.at_level(logging.INFO):
        _report([_between(max_value=1)], tmp_path)
    printed = capfd.readouterr()
    assert "Calculating Metrics" not in printed.err + printed.out
    assert not [r for r in caplog.records if r.name.startswith("great_expectations")]
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_results_are_plain_python(tmp_path):
    quantiles = {
        "type": "expect_column_quantile_values_to_be_between",
        "kwargs": {
            "column": "length",
            "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]},
        },
    }
    outcome, _ = evaluate(FRAME, normalised([quantiles, _between(max_value=5)]), "t").outcomes
    assert outcome.success is False
    assert json.dumps(outcome.observed)
