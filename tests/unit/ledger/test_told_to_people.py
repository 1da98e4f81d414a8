"""History and explanation: what the ledger says, in words."""

import pytest

from model_registry.errors import PromotionLost, RegistryError
from model_registry.explaining import explain, told
from model_registry.history import decisions_in
from tests.faults.promoting import asked


def made(place):
    return decisions_in(list(place.ledger.follow()))


def kinds(place):
    return [(one.kind, one.before, one.after) for one in made(place)]


def story(place, version=None):
    return explain(list(place.ledger.follow()), version)


def test_a_move_is_one_decision_however_many_entries_it_takes(place):
    place.promoted("1", "2")
    place.promotions().rollback(asked())
    assert kinds(place) == [
        ("promoted", None, "1"),
        ("promoted", "1", "2"),
        ("rolled back", "2", "1"),
    ]


def test_verdicts_refusals_and_a_persons_word_are_told_apart(place):
    place.promoted("1")
    late = place.judged("4")
    promotions = place.promotions()
    promotions.keep(place.judged("2"), asked())
    promotions.propose(place.judged("3"), asked())
    promotions.reject(asked(), "3")
    promotions.propose(place.judged("5"), asked())
    promotions.approve(asked(), "5")
    with pytest.raises(PromotionLost):
        promotions.promote(late, asked())
    assert kinds(place)[1:] == [
        ("kept", "1", "1"),
        ("proposed", "1", "1"),
        ("rejected", "1", "1"),
        ("proposed", "1", "1"),
        ("approved", "1", "5"),
        ("refused: lost", "5", "5"),
    ]


def test_what_mlflow_does_not_show_yet_is_said(place):
    place.promoted("1", "2")
    place.mirror.set_down(True)
    place.promotions().rollback(asked())
    assert made(place)[-1].kind == "rolled back, MLflow follows"
    place.mirror.set_down(False)
    place.promotions().reconcile(asked())
    assert made(place)[-1].kind == "rolled back"


def test_a_move_that_was_turned_back_says_why(place):
    place.promoted("1", "2")
    place.mirror.set_down(True)
    place.promotions().rollback(asked())
    place.mirror.lose("1")
    place.mirror.set_down(False)
    place.promotions().reconcile(asked())
    last = made(place)[-1]
    assert (last.kind, last.after) == ("rollback turned back", "2")
    assert last.why == "because; but artifact of v1 missing; v2 stays"


def test_a_change_by_hand_is_a_decision_too(place):
    place.promoted("1")
    place.mirror.register("9")
    place.mirror.set_stage("9", "Production")
    place.promotions().reconcile(asked())
    assert kinds(place)[-1] == ("reverted", "1", "1")


def test_the_champions_story_quotes_gates_intervals_and_digests(place):
    place.promoted("1", "2")
    said = "\n".join(story(place).sentences())
    for part in (
        "v2: in Production since 2026-07-01 12:00 UTC (entry 3); it replaced v1",
        "entry 3, 2026-07-01 12:00 UTC: promoted, v1 → v2, by tests: because",
        "macro_f1: 0.8100 [0.7800, 0.8400]",
        "✓ beats_champion: +0.03",
        "data d1, test t1; decision 2 on these test rows, the first on 2026-07-01, 0 days before",
        "night 2026-07-01; seeds: training 17",
    ):
        assert part in said


def test_how_long_the_test_rows_have_judged_is_told_in_days(place):
    place.promoted("1")
    place.promotions().keep(place.judged("2"), asked(minutes=12 * 24 * 60))
    said = "\n".join(story(place, "2").sentences())
    assert "decision 2 on these test rows, the first on 2026-07-01, 12 days before" in said


def test_a_version_that_left_says_what_came_after(place):
    place.promoted("1", "2", "3")
    place.promotions().rollback(asked(), "1")
    found = story(place, "2")
    assert found.stands == "not in Production"
    assert [told(one).split(": ")[1] for one in found.afterwards] == [
        "promoted, v2 → v3, by tests",
        "rolled back, v3 → v1, by tests",
    ]
    assert "only a person may promote it again" in story(place, "3").stands
    assert "it replaced v3" in story(place).stands


def test_who_waits_and_who_was_approved_keep_the_facts_of_their_night(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked())
    assert "waits for `nocturne approve`" in story(place, "2").stands
    place.promotions().approve(asked())
    found = story(place, "2")
    assert found.facts["digests"] == {"data": "d1", "test": "t1"}
    assert [one.kind for one in found.decisions] == ["proposed", "approved"]
    assert found.to_json()["sentences"] == list(found.sentences())


def test_a_version_nobody_decided_about_is_refused_by_name(place):
    with pytest.raises(RegistryError, match=r"no decision at all is in the ledger"):
        story(place)
    place.promoted("1")
    with pytest.raises(RegistryError, match=r"about v7 is in the ledger; there are: v1"):
        story(place, "7")
