"""The whole night through the command line: embedded servers, real models, real registry."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_line import SMALL_PIPELINE, Answer, Home, home_in


@dataclass(frozen=True)
class FirstNight:
    home: Home
    conf: str
    answer: Answer

    @property
    def record(self) -> Any:
        return self.answer.json


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    home = home_in(tmp_path_factory.mktemp("first-night"))
    conf = home.write(SMALL_PIPELINE)
    answer = home.nocturne("retrain", conf, "--date", "2026-03-01", "--json")
    assert answer.code == 0, answer.out + answer.err
    return FirstNight(home, conf, answer)


@pytest.fixture(scope="module")
def told(first_night):
    """What is answered about the night, by questions that change nothing, in one process."""
    conf = first_night.conf
    a_hundred_pipelines(first_night.home)
    questions = {
        "story": ("explain", conf, "1", "--json"),
        "words": ("explain", conf, "1"),
        "sound": ("verify", conf, "--json"),
        "status": ("status", conf, "--json"),
        "nobody": ("promote", conf, "99", "--reason", "trial"),
        "no night": ("replay", "2026-02-01", conf),
        "all": ("status", "all", "--json"),
        "table": ("status", "all"),
        "empty": ("status", "empty"),
        "replayed": ("replay", "2026-03-01", conf, "--json"),
    }
    answers = first_night.home.one_after_another(*questions.values())
    return dict(zip(questions, answers, strict=True))


def a_hundred_pipelines(home):
    """A folder with the night's, ninety-nine more and one that is broken, and an empty one."""
    (home.path / "all").mkdir()
    (home.path / "empty").mkdir()
    for name in ("small", *(f"p{number:02}" for number in range(99))):
        content = yaml.safe_dump({**SMALL_PIPELINE, "name": name})
        (home.path / "all" / f"{name}.yaml").write_text(content)
    (home.path / "all" / "zz.yaml").write_text("name: zz\nsorce: {}\n")


def test_the_first_night_puts_its_challenger_into_production(first_night):
    record = first_night.record
    assert record["outcome"] == "promoted", record["reason"]
    assert (record["version"], record["stage"]) == ("1", "Production")
    assert record["champion_before"] is None
    assert record["challenger"] == "lstm"


def test_the_record_carries_every_metric_a_script_needs(first_night):
    record = first_night.record
    assert {"accuracy", "macro_f1", "macro_recall"} <= record["test_metrics"].keys()
    assert len(record["class_recall"]) == 5
    assert record["data_digest"]
    assert record["run_id"]
    for candidate in record["candidates"]:
        assert {"macro_f1", "accuracy"} <= candidate["validation"].keys() & candidate["test"].keys()


def test_every_gate_quotes_its_numbers(first_night):
    gates = first_night.record["verdict"]["gates"]
    assert [gate["gate"] for gate in gates][:2] == ["finite", "not_collapsed"]
    assert all(any(c.isdigit() for c in gate["sentence"]) for gate in gates if gate["numbers"])


def test_the_seconds_of_every_step_are_recorded(first_night):
    steps = first_night.record["seconds"]
    assert {"ingest", "validate", "prepare", "train", "evaluate", "register"} <= steps.keys()
    assert "probation" in steps
    assert first_night.record["probation"] is None  # a first version replaced nobody


def test_the_report_stands_alone(first_night):
    page = Path(first_night.record["report"]).read_text()
    assert "promoted" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="data:image' in page or "<svg" in page


def test_mlflow_holds_one_run_a_night_and_a_child_a_candidate(first_night):
    rows = _query(
        first_night.home.path / ".nocturne" / "mlflow.db",
        "select run_uuid, value from tags where key = 'mlflow.parentRunId'",
    )
    assert [parent for _, parent in rows] == [first_night.record["run_id"]] * 2
    statuses = _query(first_night.home.path / ".nocturne" / "mlflow.db", "select status from runs")
    assert {status for (status,) in statuses} == {"FINISHED"}


def test_stage_alias_and_tags_agree(first_night):
    database = first_night.home.path / ".nocturne" / "mlflow.db"
    stages = _query(database, "select version, current_stage from model_versions")
    aliases = dict(_query(database, "select alias, version from registered_model_aliases"))
    assert [(str(v), stage) for v, stage in stages] == [("1", "Production")]
    assert str(aliases["champion"]) == "1"


def test_the_ledger_holds_the_decision_and_everything_it_rests_on(first_night, told):
    story = told["story"].json
    record, facts = first_night.record, story["facts"]
    assert story["stands"].startswith("in Production since")
    assert [one["kind"] for one in story["decisions"]] == ["promoted"]
    assert facts["logical_date"] == "2026-03-01"
    assert facts["digests"]["data"] == record["data_digest"]
    assert facts["digests"]["test"] == record["test_digest"]
    assert {"code", "configuration", "lock"} <= facts["digests"].keys()
    assert facts["seeds"] == {"pipeline": record["seed"]}
    value, low, high = facts["metrics"]["challenger"]["macro_f1"]
    assert low <= value == record["test_metrics"]["macro_f1"] <= high
    assert facts["gates"] == record["verdict"]["gates"]
    assert facts["links"]["run"] == record["run_id"]
    assert (first_night.home.path / ".nocturne" / "store" / facts["links"]["report"]).exists()


def test_the_story_is_told_in_words_and_numbers(told):
    said = told["words"]
    assert said.code == 0, said.err
    for part in (
        "in Production since",
        "it replaced no version",
        "macro_f1: 0.",
        "✓ finite",
        "seeds",
    ):
        assert part in said.out


def test_chain_bundles_and_page_agree(told):
    found = told["sound"]
    assert (found.code, found.json) == (0, {"sound": True, "findings": []}), found.err


def test_the_night_can_be_computed_again_from_what_was_kept(told):
    again, other = told["replayed"], told["no night"]
    assert again.code == 0, again.out + again.err
    assert (again.json["verdict"], again.json["why"]) == ("bit-equal", [])
    assert again.json["difference"] <= 1e-5
    assert other.code == 2
    assert "holds no decision on it; there are: 2026-03-01" in " ".join(other.err.split())


def test_a_night_that_died_before_its_record_was_written_finds_its_own_decision(first_night):
    store = first_night.home.path / ".nocturne" / "store"
    (record,) = (store / "nights" / "small" / "2026-03-01").iterdir()
    record.unlink()
    before = sorted((store / "ledger" / "small").iterdir())
    again = first_night.home.nocturne("retrain", first_night.conf, "--date", "2026-03-01", "--json")
    assert again.code == 0, again.out + again.err
    told = ("outcome", "version", "stage", "reason", "champion_before", "champion_after")
    assert [again.json[name] for name in told] == [first_night.record[name] for name in told]
    assert sorted((store / "ledger" / "small").iterdir()) == before
    assert dict(_versions(first_night))["1"] == "Production"


def test_a_second_run_for_the_same_date_changes_nothing(first_night):
    asked = ("retrain", first_night.conf, "--date", "2026-03-01")
    (record,) = (first_night.home.path / ".nocturne/store/nights/small/2026-03-01").iterdir()
    before = record.read_bytes()
    again = first_night.home.nocturne(*asked, "--json")
    once_more = first_night.home.nocturne(*asked)
    assert (again.code, once_more.code) == (0, 0)
    assert again.json == json.loads(before)
    assert list(record.parent.iterdir()) == [record]
    assert record.read_bytes() == before
    assert again.json["outcome"] == "promoted"
    assert "night 2026-03-01 is finished" in once_more.err
    assert "not used" not in once_more.err
    other = first_night.home.nocturne(*asked, "--seed", "3", "--json")
    assert other.json == again.json
    assert "by other settings or code: --seed not used; --force" in other.err
    assert "outcome: promoted" in once_more.out
    assert len(_versions(first_night)) == 1


def test_status_names_the_champion_and_the_night(told):
    status = told["status"].json
    assert status["champion"]["version"] == "1"
    assert [night["outcome"] for night in status["nights"]] == ["promoted"]


def test_every_pipeline_of_a_folder_has_its_row(first_night, told):
    record = first_night.record
    rows = {row["pipeline"]: row for row in told["all"].json}
    assert len(rows) == 101
    small = rows["small"]
    assert small["champion"] == record["champion_after"] == "1"
    assert (small["last_night"], small["outcome"]) == ("2026-03-01", record["outcome"])
    assert small["value"] == record["test_metrics"]["macro_f1"]
    assert rows["p07"]["champion"] is None
    assert rows["p07"]["due"] == "no server"
    assert "sorce" in rows["zz"]["broken"]


def test_their_table_shows_them_and_says_what_is_broken(told):
    shown, empty = told["table"], told["empty"]
    assert shown.code == 0
    assert "101 pipelines" in shown.out
    assert "none yet" in shown.out
    assert "sorce" in shown.out
    assert empty.code == 2
    assert "empty: holds no pipeline file" in empty.err


def test_production_scores_a_file_and_sends_bad_rows_to_rejects(first_night, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("ticket_id,text\na,my invoice shows the wrong amount\nb,\nc,the app crashes\n")
    target = tmp_path / "scored.csv"
    answer = first_night.home.nocturne("score", first_night.conf, str(rows), str(target), "--json")
    assert answer.code == 3, answer.err  # a third of the rows is more than may have no answer
    lines = target.read_text().splitlines()
    assert len(lines) == 3
    assert "version,digest" in lines[0]
    assert (answer.json["scored"], answer.json["rejected"]) == (2, 1)
    assert "1 of 3 rows (33.3%) could not be answered" in answer.json["refused"]


def test_a_later_night_on_almost_the_same_data_keeps_the_champion(first_night):
    night = first_night.home.nocturne("retrain", first_night.conf, "--date", "2026-03-02", "--json")
    assert night.code == 3, night.err
    assert night.json["outcome"] == "kept"
    assert night.json["refused_by"] == "gate"
    assert (night.json["version"], night.json["stage"]) == ("2", "Staging")
    assert night.json["champion_before"] == "1"
    stages = dict(_versions(first_night))
    assert stages == {"1": "Production", "2": "Staging"}


def test_a_person_promotes_and_rolls_back_by_hand(first_night):
    _at_least_two_versions(first_night)
    home, conf = first_night.home, first_night.conf
    moved = home.nocturne("promote", conf, "2", "--reason", "trial", "--by", "ada", "--json")
    assert moved.code == 0, moved.err
    assert dict(_versions(first_night)) == {"1": "Archived", "2": "Production"}
    back, made, sound = home.one_after_another(
        ("rollback", conf, "--reason", "bad live", "--by", "ada", "--json"),
        ("history", conf, "--json"),
        ("verify", conf),
    )
    assert back.code == 0, back.err
    assert dict(_versions(first_night)) == {"1": "Production", "2": "Archived"}
    kinds = [(one["kind"], one["before"], one["after"], one["by"]) for one in made.json]
    assert kinds == [
        ("promoted", None, "1", "night 2026-03-01"),
        ("kept", "1", "1", "night 2026-03-02"),
        ("promoted", "1", "2", "ada"),
        ("rolled back", "2", "1", "ada"),
    ]
    assert sound.code == 0, sound.err


def test_promoting_a_version_that_is_not_there_says_so(told):
    answer = told["nobody"]
    assert answer.code in (1, 2)
    assert "99" in answer.err
    assert "Traceback" not in answer.err


def _at_least_two_versions(first_night):
    if len(_versions(first_night)) < 2:
        pytest.skip("runs after the later night of the same session")


def _versions(first_night):
    database = first_night.home.path / ".nocturne" / "mlflow.db"
    rows = _query(database, "select version, current_stage from model_versions order by version")
    return [(str(version), stage) for version, stage in rows]


def _query(database, sql):
    with sqlite3.connect(database) as connection:
        return connection.execute(sql).fetchall()
