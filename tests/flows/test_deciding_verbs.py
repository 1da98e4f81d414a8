"""The verbs about who is champion, through the command line, while MLflow is silent."""

import socket
from pathlib import Path

import pytest

from flows.deciding import _next
from tests.command_line import SMALL_PIPELINE, home_in
from tests.faults.promoting import Place, asked, quick_disk


@pytest.fixture
def silent():
    """An address that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def decided(tmp_path, silent):
    """A home whose ledger holds two promotions and a proposal."""
    home = home_in(tmp_path, NOCTURNE_MLFLOW_URL=silent)
    with quick_disk():
        place = Place(tmp_path / ".nocturne").promoted("1", "2")
        place.promotions().propose(place.judged("3"), asked("night of v3"))
    return home, home.write({**SMALL_PIPELINE, "name": place.ledger.name})


def test_history_explanation_and_status_are_answered_by_the_ledger_alone(decided):
    home, conf = decided
    table = home.nocturne("history", conf)
    assert table.code == 0, table.err
    for part in ("promoted", "v1 → v2", "proposed", "v2 stays", "tests", "because"):
        assert part in table.out
    story = home.nocturne("explain", conf)
    assert "v2: in Production since 2026-07-01 12:00 UTC (entry 3); it replaced v1" in story.out
    status = home.nocturne("status", conf)
    assert "pipeline: tickets\nchampion: v2, because" in status.out
    assert "v3 for `nocturne approve` or `nocturne reject`" in status.out


def test_a_rollback_does_not_wait_for_mlflow_and_says_what_is_left_to_do(decided):
    home, conf = decided
    back = home.nocturne("rollback", conf, "--reason", "bad live", "--by", "ada", "--json")
    assert back.code == 0, back.err
    assert (back.json["decided"], back.json["champion_after"]) == ("rolled back", "1")
    assert "`nocturne reconcile` applies it" in back.json["in_mlflow"]
    last = home.nocturne("history", conf, "--json").json[-1]
    assert (last["kind"], last["by"], last["why"]) == (
        *("rolled back, MLflow follows", "ada"),
        "bad live",
    )
    assert "MLflow does not show it yet" in home.nocturne("status", conf).out


def test_each_decision_ends_with_what_comes_next(decided):
    home, conf = decided
    asked = (("rollback", conf), ("reject", conf, "3"), ("explain", conf))
    back, no, story = home.one_after_another(
        *([*words, "--reason", "bad live"] for words in asked[:2]), asked[2]
    )
    assert "next: v1 serves now; nights go on and promote what beats it, but v2 only after" in (
        back.out
    )
    assert f"`nocturne promote {conf} 2 --reason WHY`" in back.out
    assert f"next: v1 serves on; no night promotes v3 again, `nocturne promote {conf} 3" in no.out
    assert story.out.splitlines()[-1] == f"all decisions, the others too: nocturne history {conf}"


def test_a_yes_says_how_to_go_back():
    facts = {"champion_before": "1", "champion_after": "2", "version": "2"}
    said = "v2 serves now, and nights are held against it"
    back = "`nocturne rollback conf/a.yaml --reason WHY` goes back to v1"
    assert _next(Path("conf/a.yaml"), "approve", facts) == f"{said}; {back}"
    assert _next(Path("conf/a.yaml"), "promote", {**facts, "champion_before": None}) == said


def test_what_does_not_hold_is_listed_with_exit_code_3(decided):
    home, conf = decided
    entry = home.path / ".nocturne" / "store" / "ledger" / "tickets" / "00000002.json"
    entry.write_text(entry.read_text().replace("tests", "nobody"))
    found = home.nocturne("verify", conf, "--json")
    assert found.code == 3
    assert found.json["sound"] is False
    assert "entry 2 was edited" in found.json["findings"][0]
    refused = home.nocturne("rollback", conf, "--reason", "bad live")
    assert refused.code == 1
    assert "nothing is decided on it" in refused.err


def test_a_person_who_names_no_version_that_waits_is_told_who_does(decided):
    home, conf = decided
    answer = home.nocturne("reject", conf, "2", "--reason", "no")
    assert answer.code == 1
    assert "v2 does not wait; waiting for a person: v3" in answer.err
