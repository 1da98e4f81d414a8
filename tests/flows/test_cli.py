"""The command line without a night: help, bad usage, bad configuration, exit codes."""

import os
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from typing import Any

import pytest

from infra.local import LocalStorage
from tasks.lease import holding
from tests.command_line import SMALL_PIPELINE, home_in, night_home_in


@dataclass(frozen=True)
class Call:
    """What somebody types, and what they must read.

    Attributes:
        arguments: Words of the call; `CONF` stands for the pipeline file.
        code: How it must end.
        says: Words that the answer must hold.
        changes: Keys of the small pipeline, replaced.
    """

    arguments: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)


def retrain(wrong, right, **changes):
    """A night whose pipeline has one wrong name, and the right one that must be offered."""
    return Call(("retrain", "CONF"), 2, (f"'{wrong}'", f"'{right}'"), changes)


def candidate(**given):
    return [{"name": "a", "architecture": "stacked_lstm", **given}]


CALLS = {
    "no such pipeline file": Call(
        ("retrain", "conf/nowhere.yaml"), 2, ("no such pipeline file", "nocturne init")
    ),
    "a bare name that is none": Call(("status", "nowhere"), 2, ("nor in conf/", "conf/small.yaml")),
    "a folder": Call(("retrain", "conf"), 2, ("is a folder", "conf/small.yaml")),
    "data for a pipeline": Call(
        ("retrain", "rows.csv"), 2, ("rows.csv: is data", "`nocturne init rows.csv`")
    ),
    "a source that is not there": Call(
        ("validate", "CONF"),
        2,
        ("nowhere.csv: no such file",),
        {"source": {"reader": {"name": "csv", "options": {"path": "nowhere.csv"}}}},
    ),
    "a batch that is not there": Call(
        ("score", "small", "nowhere.csv", "out.csv"), 2, ("nowhere.csv: no such file",)
    ),
    "a policy that is not there": Call(
        ("backtest", "small", "--from=2026-01-01", "--to=2026-01-02", "--policy", "none.yaml"),
        2,
        ("none.yaml: no such file",),
    ),
    "a token that is not there": Call(
        ("serve", "small", "--token-file", "none.txt"), 2, ("none.txt", "No such file")
    ),
    "no YAML": Call(("retrain", "broken.yaml"), 2, ("cannot be read as YAML", "line 2, column 1")),
    "an empty file": Call(("retrain", "empty.yaml"), 2, ("expected a mapping of keys", "None")),
    "no text": Call(("retrain", "binary.yaml"), 2, ("cannot be read as YAML",)),
    "a misspelt key": retrain("evalution", "evaluation", evalution={"metric": "accuracy"}),
    "a misspelt gate": retrain("finit", "finite", gates=["finit"]),
    "a misspelt cleaning step": retrain(
        "lower_case", "lowercase", preprocessing={"cleaning": ["lower_case"]}
    ),
    "a misspelt tokenizer": retrain("words", "word", preprocessing={"tokenizer": "words"}),
    "a misspelt reader": retrain("cvs", "csv", source={"reader": "cvs"}),
    "a misspelt architecture": retrain(
        "bidirectional_lsmt",
        "bidirectional_lstm",
        candidates=candidate(architecture="bidirectional_lsmt"),
    ),
    "a misspelt strategy": retrain("smoet", "smote", candidates=candidate(resampling="smoet")),
    "SMOTE on token ids": Call(
        ("retrain", "CONF"),
        2,
        ("candidate 'a': resampling", "between the ids of two words"),
        {"candidates": candidate(resampling="smote")},
    ),
    "an unknown candidate": Call(
        ("retrain", "CONF", "--candidates", "lstn"), 2, ("did you mean 'lstm'",)
    ),
    "a day to come": Call(("retrain", "CONF", "--date", "2999-01-01"), 2, ("--date", "to come")),
    "an impossible date": Call(("retrain", "CONF", "--date", "yesterday"), 2, ("--date",)),
    "a verb that is none": Call(("retrian",), 2, ("retrian",)),
    "scoring without a champion": Call(
        ("score", "CONF", "rows.csv", "out.csv"), 1, ("Production", "nocturne retrain")
    ),
    "promoting without a reason": Call(("promote", "CONF", "1"), 2, ("--reason",)),
    "promoting what is not there": Call(
        ("promote", "CONF", "7", "--reason", "trial"), 1, ("no version 7",)
    ),
    "rolling back without a champion": Call(
        ("rollback", "CONF", "--reason", "trial"), 1, ("nothing is in Production",)
    ),
    "a contract that is broken": Call(
        ("validate", "CONF"),
        3,
        ("1,000,000",),
        {"contract": {**SMALL_PIPELINE["contract"], "min_rows": 1_000_000}},
    ),
    "no file to draft from": Call(("init", "nowhere.csv"), 2, ("no such file",)),
    "an empty file to draft from": Call(("init", "empty.csv"), 2, ("0 bytes",)),
    "a folder to draft from": Call(("init", "void"), 2, ("void: the folder", "there is none")),
    "a folder with files to draft from": Call(
        ("init", "."), 2, ("holds no Parquet file; name a data file instead: bytes.csv",)
    ),
    "an ending that is unknown": Call(("init", "rows.xlsx"), 2, ("got '.xlsx'",)),
    "bytes to draft from": Call(("init", "bytes.csv"), 2, ("bytes.csv: cannot be read",)),
    "one class to draft from": Call(
        ("init", "same.csv", "--label", "topic"), 2, ("only 'one'", "two classes are needed")
    ),
    "a column that is none": Call(
        ("init", "same.csv", "--label", "topik"), 2, ("did you mean 'topic'",)
    ),
}
FILES = {
    "broken.yaml": b"name: [unclosed\n",
    "empty.yaml": b"",
    "binary.yaml": bytes(range(128, 256)),
    "rows.csv": b"ticket_id,text\na,hello\n",
    "rows.xlsx": b"PK",
    "empty.csv": b"",
    "bytes.csv": b"\x00\xffa,b\n\xfe\x00,c,d,e\n\x01,\x02,\xff\n",
    "same.csv": b"topic,text\n" + b"".join(b"one,words and %d\n" % n for n in range(40)),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Every call made, and made again for a script."""
    home = home_in(tmp_path_factory.mktemp("calls"))
    home.write(SMALL_PIPELINE)
    (home.path / "void").mkdir()
    for name, content in FILES.items():
        (home.path / name).write_bytes(content)
    typed = []
    for at, call in enumerate(CALLS.values()):
        conf = home.write(SMALL_PIPELINE, name=f"small_{at}", **call.changes)
        typed.append([conf if word == "CONF" else word for word in call.arguments])
    told = home.one_after_another(*typed, *([*call, "--json"] for call in typed))
    return {name: (told[at], told[at + len(CALLS)]) for at, name in enumerate(CALLS)}


@pytest.mark.parametrize("name", CALLS)
def test_what_cannot_be_done_is_said_in_a_sentence_with_its_exit_code(name, answers):
    answer, call = answers[name][0], CALLS[name]
    said = " ".join((answer.out + answer.err).split())
    assert answer.code == call.code, said
    assert "Traceback" not in said
    assert all(words in said for words in call.says), said
    assert said.isprintable()


@pytest.mark.parametrize("name", CALLS)
def test_a_script_gets_the_same_as_one_document(name, answers):
    answer, call = answers[name][1], CALLS[name]
    assert answer.code == call.code
    if answer.out:  # bad usage is answered before anybody asks for JSON
        told = answer.json
        assert told.get("exit_code", call.code) == call.code
        said = told.get("error") or told["reason"]
        assert all(words in said for words in call.says), said


def test_the_command_itself_ends_with_the_code_of_what_it_did(home):
    """The calls above share a process; this is one of its own, as a user starts it."""
    answer = home.nocturne("retrain", "conf/nowhere.yaml")
    assert answer.code == 2
    assert answer.err.startswith("error: conf/nowhere.yaml: no such pipeline file")
    assert len(answer.err.splitlines()) == 1
    assert answer.out == ""


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two nights that end before they train, one after the other."""
    home = night_home_in(tmp_path_factory.mktemp("nights"))
    columns = {**SMALL_PIPELINE["columns"], "label": "topik"}
    source = {"reader": {"name": "csv", "options": {"path": "nowhere.csv"}}}
    return home.one_after_another(
        ("retrain", home.write(SMALL_PIPELINE, name="column", columns=columns)),
        ("retrain", home.write(SMALL_PIPELINE, name="source", source=source), "--json"),
    )


def test_a_night_whose_column_is_not_there_ends_in_words_and_no_traceback(nights):
    answer, _ = nights
    assert answer.code == 3, answer.err
    assert "Traceback" not in answer.out + answer.err
    assert "'topik'" in answer.err + answer.out
    assert "did you mean 'topic'" in " ".join((answer.out + answer.err).split())


def test_a_night_whose_source_is_not_there_is_recorded_and_ends_as_bad_configuration(nights):
    _, answer = nights
    assert (answer.code, answer.json["refused_by"]) == (2, "source"), answer.err
    assert "nowhere.csv: no such file" in answer.json["reason"]


def test_help_names_every_verb_and_the_exit_codes(home):
    answer = home.nocturne("--help")
    assert answer.code == 0
    first = ("init", "validate", "retrain", "status", "score", "ui", "promote", "rollback")
    for verb in (*first, "history", "explain", "approve", "reject", "verify", "reconcile"):
        assert verb in answer.out
    assert "Exit codes" in answer.out


def test_the_version_is_that_of_the_package(home):
    answer = home.nocturne("--version")
    assert (answer.code, answer.out) == (0, f"nocturne {version('nocturne')}\n")


def test_status_of_a_pipeline_that_never_ran_is_an_answer(home):
    conf = home.write(SMALL_PIPELINE)
    store = LocalStorage(home.path / ".nocturne" / "store")
    with holding(SMALL_PIPELINE["name"], date(2026, 3, 1), store):
        running, answer = home.one_after_another(("status", conf), ("status", conf, "--json"))
    assert (running.code, answer.code) == (0, 0)
    assert f"running: night 2026-03-01, for 0 min (pid {os.getpid()} on" in running.out
    assert answer.json["champion"] is None
    assert answer.json["nights"] == []
    assert home.nocturne("status", conf, "--json").json["running"] is None
