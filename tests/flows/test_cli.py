"""The command line without a night: help, bad usage, bad configuration, exit codes."""

import pytest

from tests.command_line import SMALL_PIPELINE


def test_help_names_every_verb_and_the_exit_codes(home):
    answer = home.nocturne("--help")
    assert answer.code == 0
    first = ("init", "validate", "retrain", "status", "score", "ui", "promote", "rollback")
    for verb in (*first, "history", "explain", "approve", "reject", "verify", "reconcile"):
        assert verb in answer.out
    assert "Exit codes" in answer.out


def test_a_missing_pipeline_file_is_bad_configuration(home):
    answer = home.nocturne("retrain", "conf/nowhere.yaml")
    assert answer.code == 2
    assert "no such pipeline file" in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_key_is_refused_with_the_nearest_right_one(home):
    conf = home.write(SMALL_PIPELINE, evalution={"metric": "accuracy"})
    answer = home.nocturne("retrain", conf)
    assert answer.code == 2
    assert "'evalution'" in answer.err
    assert "'evaluation'" in answer.err


@pytest.mark.parametrize(
    ("changes", "wrong", "right"),
    [
        ({"gates": ["finit"]}, "finit", "finite"),
        ({"preprocessing": {"cleaning": ["lower_case"]}}, "lower_case", "lowercase"),
        ({"preprocessing": {"tokenizer": "words"}}, "words", "word"),
        ({"source": {"reader": "cvs"}}, "cvs", "csv"),
        (
            {"candidates": [{"name": "a", "architecture": "bidirectional_lsmt"}]},
            "bidirectional_lsmt",
            "bidirectional_lstm",
        ),
        (
            {"candidates": [{"name": "a", "architecture": "stacked_lstm", "resampling": "smoet"}]},
            "smoet",
            "smote",
        ),
    ],
)
def test_an_unknown_name_of_any_table_is_refused_before_the_night_starts(
    home, changes, wrong, right
):
    answer = home.nocturne("retrain", home.write(SMALL_PIPELINE, **changes), "--json")
    assert answer.code == 2, answer.out + answer.err
    assert wrong in answer.json["error"]
    assert right in answer.json["error"]


def test_smote_on_token_ids_is_refused_with_the_reason(home):
    candidate = {"name": "a", "architecture": "stacked_lstm", "resampling": "smote"}
    answer = home.nocturne("retrain", home.write(SMALL_PIPELINE, candidates=[candidate]))
    assert answer.code == 2
    assert "between the ids of two words" in answer.err


def test_an_unknown_candidate_is_bad_usage(home):
    conf = home.write(SMALL_PIPELINE)
    answer = home.nocturne("retrain", conf, "--candidates", "lstn")
    assert answer.code == 2
    assert "did you mean 'lstm'" in answer.err


def test_an_impossible_date_is_bad_usage(home):
    answer = home.nocturne("retrain", home.write(SMALL_PIPELINE), "--date", "yesterday")
    assert answer.code == 2


def test_scoring_without_a_champion_says_what_to_do(home, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("ticket_id,text\na,hello\n")
    answer = home.nocturne("score", home.write(SMALL_PIPELINE), str(rows), str(tmp_path / "o.csv"))
    assert answer.code in (1, 3)
    assert "Production" in answer.err
    assert "Traceback" not in answer.err


def test_status_of_a_pipeline_that_never_ran_is_an_answer(home):
    answer = home.nocturne("status", home.write(SMALL_PIPELINE), "--json")
    assert answer.code == 0
    assert answer.json["champion"] is None
    assert answer.json["nights"] == []


def test_a_contract_breach_refuses_with_exit_code_3(home):
    contract = {**SMALL_PIPELINE["contract"], "min_rows": 1_000_000}
    answer = home.nocturne("validate", home.write(SMALL_PIPELINE, contract=contract), "--json")
    assert answer.code == 3
    assert "1,000,000" in answer.json["reason"] or "1000000" in answer.json["reason"]
