"""A night that searches for settings, and the night after it."""

import html
import json
import sqlite3

import pytest

from tests.command_line import SMALL_PIPELINE, night_home_in

TUNED = {
    **SMALL_PIPELINE,
    "candidates": [
        {"name": "floor", "architecture": {"name": "averaged_embeddings", "options": {}}},
        {
            "name": "lstm",
            "architecture": {"name": "stacked_lstm", "options": {"units": 4, "embedding": 4}},
            "training": {"epochs": 1, "learning_rate": 0.0005},
        },
    ],
    "preprocessing": {"max_length": 48},
    "gates": ["finite"],
    "tune": {"minutes": 30, "trials": 2, "every_days": 3},
}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    home = night_home_in(tmp_path_factory.mktemp("tuned"))
    conf = home.write(TUNED)
    answer = home.nocturne("retrain", conf, "--date", "2026-03-01", "--json")
    assert answer.code == 0, answer.out + answer.err
    return home, conf, answer.json


def test_the_winner_is_a_candidate_of_the_night(night):
    _, _, record = night
    assert record["tuned"]["logical_date"] == "2026-03-01"
    assert record["tuned"]["trials"][0]["state"] == "complete"
    assert len(record["tuned"]["trials"]) == 2
    won = record["tuned"]["candidate"]
    names = [candidate["name"] for candidate in record["candidates"]]
    assert names == (["floor", "lstm", "tuned"] if won else ["floor", "lstm"])
    assert won, record["tuned"]["reason"]  # next to anything beats four units and one epoch
    assert record["seconds"]["tune"] > 0


def test_mlflow_holds_a_run_for_each_trial_inside_the_search(night):
    home, _, record = night
    with sqlite3.connect(home.path / ".nocturne" / "mlflow.db") as connection:
        kinds = dict(connection.execute("select run_uuid, value from tags where key = 'kind'"))
        inside = dict(
            connection.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'")
        )
    (search,) = [run for run, kind in kinds.items() if kind == "search"]
    trials = [run for run, kind in kinds.items() if kind == "trial"]
    assert inside[search] == record["run_id"]
    assert [inside[trial] for trial in trials] == [search] * 2


def test_the_report_and_the_store_show_the_search(night):
    home, _, record = night
    page = html.unescape((home.path / record["report"]).read_text())
    assert 'id="search"' in page
    assert record["tuned"]["reason"] in page
    (kept,) = (home.path / ".nocturne" / "store" / "tuning" / "small").iterdir()
    assert json.loads(kept.read_text())["candidate"] == record["tuned"]["candidate"]


def test_what_a_search_found_is_computed_again_bit_by_bit(night):
    home, conf, record = night
    if record["challenger"] != "tuned":
        pytest.skip(f"the challenger is {record['challenger']!r}")
    answer = home.nocturne("replay", "2026-03-01", conf, "--json")
    assert answer.json["verdict"] == "bit-equal", answer.out


@pytest.mark.slow
def test_a_night_soon_after_trains_the_winner_and_does_not_search(night):
    home, conf, record = night
    answer = home.nocturne("retrain", conf, "--date", "2026-03-03", "--json")
    assert answer.code in (0, 3), answer.out + answer.err
    assert answer.json["tuned"]["candidate"] == record["tuned"]["candidate"]
    assert answer.json["tuned"]["reason"].startswith("searched on 2026-03-01, 2 of 3 days ago")
    assert "tuned" in [candidate["name"] for candidate in answer.json["candidates"]]
