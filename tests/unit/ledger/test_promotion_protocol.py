import time
from dataclasses import replace

import pytest

from model_registry import planning
from model_registry.errors import PromotionLost, RegistryError, RegistryUnreachable
from model_registry.protocol import Judged, PromotionRefused
from tests.faults.invariants import violations
from tests.faults.promoting import FACTS, Died, Place, Points, asked, dies, fails


@pytest.fixture(autouse=True)
def _holds(place):
    """After each test, once MLflow is back, all invariants hold."""
    yield
    place.mirror.set_down(False)
    place.promotions().reconcile(asked())
    assert violations(place.ledger, place.mirror, place.mirror.unfit) == []


def serving(place):
    stages = place.mirror.stages()
    return sorted(version for version, stage in stages.items() if stage == "Production")


def champion(place):
    return place.promotions().state().champion.version


def entries(place):
    return list(place.ledger.follow())


# Promotions.


def test_a_promotion_moves_stage_and_alias_and_archives_the_old_one(place):
    place.promoted("1", "2")
    assert place.mirror.stages() == {"1": "Archived", "2": "Production"}
    assert place.mirror.standing().alias == "2"
    assert [entry.kind for entry in entries(place)] == ["intent", "done"] * 2


def test_the_page_shows_who_promoted_and_why_and_the_entry(place):
    place.promoted("1", "2")
    assert place.mirror.tags("2") == {
        "ledger_entry": "3",
        "previous_champion": "1",
        "by": "tests",
        "reason": "because",
    }


def test_the_entry_holds_everything_the_decision_rests_on(place):
    place.promoted("1", "2")
    body = entries(place)[2].body
    assert (body["version"], body["before"], body["after"]) == ("2", "1", "2")
    assert body["digest"] == place.judged("2").digest
    facts = body["facts"]
    assert facts["logical_date"] == FACTS.logical_date
    assert facts["digests"] == FACTS.digests
    assert facts["metrics"]["challenger"]["macro_f1"] == [0.81, 0.78, 0.84]
    assert facts["gates"] == FACTS.gates
    assert facts["seeds"] == FACTS.seeds


def test_a_promotion_against_a_champion_who_left_is_lost_and_recorded(place):
    place.promoted("1")
    late = place.judged("2")
    place.promoted("3")
    with pytest.raises(PromotionLost, match="promotion lost to v3, expected v1 in Production"):
        place.promotions().promote(late, asked("late"))
    assert serving(place) == ["3"]
    assert entries(place)[-1].kind == "refused"
    with pytest.raises(PromotionLost, match="promotion lost to v3"):
        place.promotions().promote(late, asked("late"))
    assert [entry.kind for entry in entries(place)].count("refused") == 1


def test_the_same_version_in_another_term_is_another_champion(place):
    place.promoted("1")
    late = place.judged("2")
    place.promoted("3")
    place.promotions().rollback(asked())
    assert champion(place) == "1"
    with pytest.raises(PromotionLost):
        place.promotions().promote(late, asked())


def test_a_missing_artifact_keeps_the_champion_and_may_be_asked_again(place):
    place.promoted("1")
    judged = place.judged("2")
    place.mirror.lose("2")
    with pytest.raises(PromotionRefused, match=r"artifact of v2 missing, kept v1") as refused:
        place.promotions().promote(judged, asked("night"))
    assert (refused.value.rule, serving(place)) == ("unfit", ["1"])
    place.mirror.register("2")
    assert place.promotions().promote(judged, asked("night")).kind == "promoted"


def test_a_swapped_artifact_is_refused(place):
    place.promoted("1")
    judged = replace(place.judged("2"), digest="0" * 64)
    with pytest.raises(PromotionRefused, match="digest mismatch"):
        place.promotions().promote(judged, asked())


def test_the_champion_is_not_promoted_over_itself(place):
    place.promoted("1")
    with pytest.raises(PromotionRefused, match="v1 is in Production already"):
        place.promotions().promote(place.judged("1"), asked())


def test_asking_again_gives_the_same_answer_and_no_second_entry(place):
    place.promoted("1")
    judged, night = place.judged("2"), asked("night of July 1st")
    first = place.promotions().promote(judged, night)
    assert place.promotions().promote(judged, night) == first
    assert len(entries(place)) == 4
    place.promoted("3")
    assert place.promotions().promote(judged, night) == first


def test_a_night_finds_its_own_decision_whatever_it_was(place):
    place.promoted("1")
    promotions = place.promotions()
    assert promotions.answer("night 2") is None
    promotions.keep(place.judged("2"), asked("night 2"))
    promotions.promote(place.judged("3"), asked("night 3"))
    promotions.propose(place.judged("4"), asked("night 4"))
    kinds = [promotions.answer(f"night {n}").kind for n in (2, 3, 4)]
    assert kinds == ["kept", "promoted", "proposed"]
    assert promotions.answer("night") is None


def test_a_lost_promotion_is_no_answer_so_the_night_judges_again(place):
    place.promoted("1")
    late = place.judged("2")
    place.promoted("3")
    with pytest.raises(PromotionLost):
        place.promotions().promote(late, asked("night"))
    assert place.promotions().answer("night") is None
    again = place.promotions().promote(place.judged("2"), asked("night"))
    assert place.promotions().answer("night") == again


def test_keeping_is_recorded_once_and_moves_nothing(place):
    place.promoted("1")
    judged = place.judged("2")
    first = place.promotions().keep(judged, asked("night"))
    assert place.promotions().keep(judged, asked("night")) == first
    assert (first.kind, serving(place), len(entries(place))) == ("kept", ["1"], 3)
    body = entries(place)[-1].body
    assert (body["before"], body["after"], body["version"]) == ("1", "1", "2")


def test_looks_at_a_test_set_are_counted_once_a_decision(place):
    place.promoted("1", "2")
    place.promotions().keep(place.judged("3"), asked("a"))
    place.promotions().keep(place.judged("3"), asked("a"))
    assert place.promotions().state().looks.sets == {"t1": 2}  # v1 was compared with nobody


# MLflow away.


def test_a_promotion_without_mlflow_is_refused_and_leaves_nothing(place):
    place.promoted("1")
    judged = place.judged("2")
    place.mirror.set_down(True)
    with pytest.raises(RegistryUnreachable):
        place.promotions().promote(judged, asked())
    assert len(entries(place)) == 2


def test_a_rollback_without_mlflow_counts_at_once_and_is_applied_later(place):
    place.promoted("1", "2")
    place.mirror.set_down(True)
    started = time.monotonic()
    outcome = place.promotions().rollback(asked("down"))
    assert time.monotonic() - started < 10
    assert (outcome.kind, outcome.version, outcome.applied) == ("rolled back", "1", False)
    assert (champion(place), serving(place)) == ("1", ["2"])
    place.mirror.set_down(False)
    (said,) = place.promotions().reconcile(asked())
    assert "unfinished rollback of v1 (entry 5, because): completed" in said
    assert serving(place) == ["1"]
    assert place.promotions().rollback(asked("down")).applied


def busy(name):
    raise RegistryError(f"registry busy: {name}")


@pytest.mark.parametrize("call", ["standing", "tag", "set_stage", "set_alias"])
def test_a_rollback_counts_also_while_mlflow_is_busy(place, call):
    place.promoted("1", "2")
    points = Points(1, busy, frozenset({call}))
    outcome = place.promotions(points).rollback(asked("busy"))
    assert (outcome.version, outcome.applied) == ("1", False)
    place.promotions().reconcile(asked())
    assert serving(place) == ["1"]


def test_an_artifact_store_that_is_away_turns_nothing_back(place):
    place.promoted("1")
    leave_intent(place, "2")
    with pytest.raises(RegistryUnreachable):
        place.promotions(Points(1, fails, frozenset({"unfit"}))).reconcile(asked())
    assert entries(place)[-1].kind == "intent"
    place.promotions().reconcile(asked())
    assert serving(place) == ["2"]


def test_a_rollback_does_not_wait_for_an_artifact_store_that_is_away(place):
    place.promoted("1", "2")
    points = Points(1, fails, frozenset({"unfit"}))
    assert place.promotions(points).rollback(asked()).version == "1"


def test_an_mlflow_that_goes_away_midway_leaves_what_the_next_one_finishes(place):
    place.promoted("1")
    judged, night = place.judged("2"), asked("night")
    with pytest.raises(RegistryUnreachable):
        place.promotions(Points(2, fails, frozenset({"set_stage"}))).promote(judged, night)
    outcome = place.promotions().promote(judged, night)
    assert (outcome.number, serving(place)) == (3, ["2"])


def test_a_kept_night_is_recorded_without_mlflow(place):
    place.promoted("1")
    judged = place.judged("2")
    place.mirror.set_down(True)
    assert place.promotions().keep(judged, asked()).kind == "kept"


def test_rolling_back_twice_without_mlflow_needs_a_version_to_go_further(place):
    place.promoted("1", "2", "3")
    place.mirror.set_down(True)
    place.promotions().rollback(asked())
    with pytest.raises(RegistryError, match=r"entry 7 \(rollback\) already brings back v2"):
        place.promotions().rollback(asked())
    assert place.promotions().rollback(asked(), to="1").version == "1"
    assert champion(place) == "1"


# Rollbacks.


def test_a_rollback_goes_to_the_last_good_version_and_then_further(place):
    place.promoted("1", "2", "3")
    assert place.promotions().rollback(asked()).version == "2"
    assert place.promotions().rollback(asked()).version == "1"
    with pytest.raises(RegistryError, match="nothing to go back to from v1"):
        place.promotions().rollback(asked())
    assert serving(place) == ["1"]


def test_a_version_rolled_back_is_promoted_again_by_a_person_only(place):
    place.promoted("1", "2")
    place.promotions().rollback(asked())
    again = place.judged("2")
    with pytest.raises(PromotionRefused, match="rolled back or rejected in entry 5"):
        place.promotions().promote(again, asked("night"))
    assert place.promotions().promote(again, asked("ann", person=True)).kind == "promoted"
    assert place.promotions().state().barred == {}


def test_a_rollback_passes_over_a_version_that_is_gone(place):
    place.promoted("1", "2", "3")
    place.mirror.lose("2")
    outcome = place.promotions().rollback(asked())
    assert outcome.version == "1"
    assert "v2 passed over: artifact of v2 missing" in outcome.why


def test_a_rollback_to_a_version_that_is_gone_is_refused(place):
    place.promoted("1", "2")
    place.mirror.lose("1")
    with pytest.raises(RegistryError, match="rollback to v1: artifact of v1 missing"):
        place.promotions().rollback(asked(), to="1")
    place.mirror.register("1")


@pytest.mark.parametrize("to", ["2", "9"])
def test_a_rollback_to_no_earlier_champion_names_those_there_are(place, to):
    place.promoted("1", "2")
    with pytest.raises(RegistryError, match=rf"rollback to v{to}: .*; there are: v1\."):
        place.promotions().rollback(asked(), to=to)


def test_a_rollback_found_unfit_on_return_is_turned_back(place):
    place.promoted("1", "2")
    place.mirror.set_down(True)
    place.promotions().rollback(asked("r"))
    place.mirror.lose("1")
    place.mirror.set_down(False)
    (turned, _) = place.promotions().reconcile(asked())
    assert "turned back: artifact of v1 missing; v2 stays" in turned
    assert (champion(place), serving(place)) == ("2", ["2"])
    place.mirror.register("1")


# What a dead process leaves, and what a person does by hand.


def test_an_unfinished_promotion_is_completed_by_whoever_comes_next(place):
    place.promoted("1")
    leave_intent(place, "2")
    (said,) = place.promotions().reconcile(asked())
    assert "unfinished promote of v2 (entry 3, because): completed: v2 is in Production" in said
    assert serving(place) == ["2"]


def test_an_unfinished_promotion_of_a_lost_bundle_is_turned_back(place):
    place.promoted("1")
    leave_intent(place, "2")
    place.mirror.set_stage("2", "Production")
    place.mirror.lose("2")
    said = place.promotions().reconcile(asked())
    assert "turned back: artifact of v2 missing; v1 stays" in said[0]
    assert (serving(place), champion(place)) == (["1"], "1")


def test_an_unfinished_promotion_beside_a_stranger_is_turned_back(place):
    place.promoted("1")
    leave_intent(place, "2")
    place.mirror.register("7")
    place.mirror.set_stage("7", "Production")
    said = place.promotions().reconcile(asked())
    assert "MLflow says v7 in Production" in said[0]
    assert serving(place) == ["1"]


def test_a_rollback_cancels_an_unfinished_promotion(place):
    place.promoted("1")
    leave_intent(place, "2")
    place.mirror.set_stage("2", "Production")
    assert place.promotions().rollback(asked()).version == "1"
    assert serving(place) == ["1"]
    assert set(place.promotions().state().barred) == {"2"}


def leave_intent(place, version):
    """What a night leaves that dies between its intent and its first step."""
    judged, state = place.judged(version), place.promotions().state()
    intent = planning.promotion(state, judged, asked(f"night of v{version}"), None)
    assert place.ledger.append(intent, after=state.head).kind == "intent"


def change_by_hand(place, version):
    place.mirror.register(version)
    place.mirror.set_stage(version, "Production")


def test_a_stage_changed_by_hand_is_reverted_and_recorded(place):
    place.promoted("1")
    change_by_hand(place, "7")
    (said,) = place.promotions().reconcile(asked())
    assert "changed by hand: MLflow says v7 in Production, alias champion at v1" in said
    assert serving(place) == ["1"]
    entry = entries(place)[-2]
    assert (entry.kind, entry.body["action"]) == ("intent", "revert")
    assert entry.body["found"] == {"production": ["7"], "alias": "1"}
    assert place.promotions().reconcile(asked()) == ()


def test_a_champion_taken_out_by_hand_is_put_back(place):
    place.promoted("1")
    place.mirror.set_stage("1", "Archived")
    place.promotions().reconcile(asked())
    assert serving(place) == ["1"]


def test_an_alias_moved_by_hand_is_moved_back(place):
    place.promoted("1", "2")
    place.mirror.set_alias("1")
    place.promotions().reconcile(asked())
    assert place.mirror.standing().alias == "2"


def test_two_versions_in_production_become_one(place):
    place.promoted("1", "2")
    (place.mirror.root / "stages" / "1").write_text("Production")
    place.promotions().reconcile(asked())
    assert serving(place) == ["2"]


@pytest.fixture
def adopting(tmp_path):
    return Place(tmp_path, on_hand_change="adopt")


def test_a_stage_changed_by_hand_is_adopted_where_the_policy_says_so(adopting):
    adopting.promoted("1")
    change_by_hand(adopting, "7")
    adopting.promotions().reconcile(asked())
    assert (champion(adopting), serving(adopting)) == ("7", ["7"])
    assert adopting.mirror.standing().alias == "7"
    assert entries(adopting)[-2].body["action"] == "adopt"


def test_an_alias_alone_moved_by_hand_is_adopted_too(adopting):
    adopting.promoted("1", "2")
    adopting.mirror.set_alias("1")
    adopting.promotions().reconcile(asked())
    state = adopting.promotions().state()
    assert (state.champion.version, set(state.barred)) == ("1", {"2"})


def test_what_was_rolled_back_is_not_adopted(adopting):
    adopting.promoted("1", "2")
    adopting.promotions().rollback(asked())
    adopting.mirror.set_stage("2", "Production")
    adopting.promotions().reconcile(asked())
    assert serving(adopting) == ["1"]


def test_what_cannot_serve_is_not_adopted(adopting):
    adopting.promoted("1")
    change_by_hand(adopting, "7")
    adopting.mirror.lose("7")
    adopting.promotions().reconcile(asked())
    assert serving(adopting) == ["1"]


def test_two_strangers_are_not_chosen_between(adopting):
    adopting.promoted("1")
    change_by_hand(adopting, "7")
    adopting.mirror.register("8")
    (adopting.mirror.root / "stages" / "8").write_text("Production")
    adopting.promotions().reconcile(asked())
    assert serving(adopting) == ["1"]


def test_what_served_before_there_was_a_ledger_is_taken_over(place):
    change_by_hand(place, "4")
    place.mirror.set_alias("4")
    place.promotions().reconcile(asked())
    assert (champion(place), serving(place)) == ("4", ["4"])
    place.promoted("5")
    assert place.promotions().rollback(asked()).version == "4"


def test_it_is_taken_over_also_after_a_night_that_was_only_recorded(place):
    change_by_hand(place, "4")
    place.promotions().keep(Judged("5", "d5", None), asked())
    place.promotions().reconcile(asked())
    assert (champion(place), serving(place)) == ("4", ["4"])


def test_a_page_that_cannot_be_taken_over_is_left_alone(place):
    change_by_hand(place, "4")
    place.mirror.lose("4")
    with pytest.raises(RegistryError, match="the ledger is empty, and no single sound version"):
        place.promotions().reconcile(asked())
    assert serving(place) == ["4"]
    place.mirror.register("4")


# Approval by a person.


def test_nothing_moves_until_a_person_approves(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked("night"))
    assert serving(place) == ["1"]
    approved = place.promotions().approve(replace(asked("yes"), by="Ann", why="looks right"))
    assert (approved.kind, serving(place)) == ("promoted", ["2"])
    intent = entries(place)[-2]
    assert (intent.by, intent.why, intent.body["action"]) == ("Ann", "looks right", "approve")
    assert intent.body["about"] == 3
    assert place.promotions().approve(asked("yes")) == approved
    assert place.promotions().state().proposals == {}


def test_about_the_champion_itself_nobody_is_asked(place):
    place.promoted("1")
    assert place.promotions().propose(place.judged("1"), asked("night")).kind == "kept"
    assert place.promotions().state().proposals == {}


def test_a_rejected_version_is_archived_and_not_promoted_by_itself(place):
    place.promoted("1")
    judged = place.judged("2")
    place.promotions().propose(judged, asked("night"))
    rejected = place.promotions().reject(asked("no"))
    assert (rejected.kind, rejected.version) == ("rejected", "2")
    assert place.mirror.stages()["2"] == "Archived"
    with pytest.raises(PromotionRefused, match="only a person"):
        place.promotions().promote(judged, asked("next night"))
    assert place.promotions().reject(asked("no")) == rejected


def test_a_rejection_is_recorded_without_mlflow(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked())
    place.mirror.set_down(True)
    assert place.promotions().reject(asked()).kind == "rejected"


def test_a_no_that_comes_after_a_yes_is_refused_also_while_the_yes_is_unfinished(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked())
    points = Points(1, dies, frozenset({"set_stage"}))
    with pytest.raises(Died):
        place.promotions(points).approve(asked())
    with pytest.raises(RegistryError, match=r"reject v2: entry 4 \(approve by tests\) already"):
        place.promotions().reject(asked())
    assert place.promotions().rollback(asked()).version == "1"
    assert set(place.promotions().state().barred) == {"2"}


def test_an_approval_that_comes_too_late_is_lost(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked())
    place.promoted("3")
    with pytest.raises(PromotionLost):
        place.promotions().approve(asked())
    with pytest.raises(RegistryError, match="waiting for a person: none"):
        place.promotions().approve(asked())


def test_where_several_wait_the_person_says_which(place):
    place.promoted("1")
    place.promotions().propose(place.judged("2"), asked())
    place.promotions().propose(place.judged("3"), asked())
    with pytest.raises(RegistryError, match="say which version; waiting for a person: v2, v3"):
        place.promotions().approve(asked())
    with pytest.raises(RegistryError, match="v9 does not wait"):
        place.promotions().reject(asked(), "9")
    assert place.promotions().approve(asked(), "2").version == "2"


# The audit.


def test_the_audit_of_a_sound_place_is_empty_and_changes_nothing(place):
    place.promoted("1", "2")
    assert place.promotions().audit() == ()
    assert len(entries(place)) == 4


def test_the_audit_names_disagreements_and_what_to_do(place):
    place.promoted("1")
    change_by_hand(place, "7")
    (said,) = place.promotions().audit()
    assert said == ("MLflow says v7 in Production, alias champion at v1, ledger says v1; reconcile")
    assert serving(place) == ["7"]


def test_the_audit_names_what_is_unfinished(place):
    place.promoted("1")
    leave_intent(place, "2")
    assert place.promotions().audit() == ("entry 3 (promote) is not finished; reconcile",)


def test_the_audit_names_a_champion_that_is_gone(place):
    place.promoted("1", "2")
    place.mirror.lose("2")
    assert place.promotions().audit() == ("v2 cannot serve: artifact of v2 missing; roll back",)
    place.mirror.register("2")


def test_the_audit_names_an_edited_entry(place):
    place.promoted("1")
    path = place.home / "store/ledger/tickets/00000001.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"because", b"by luck"))
    (said,) = place.promotions().audit()
    assert "entry 1 was edited" in said
    path.write_bytes(good)
