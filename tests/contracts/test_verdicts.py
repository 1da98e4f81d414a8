"""What follows from the gates: five verdicts, each in one sentence with its numbers."""

import dataclasses

import numpy as np
import pytest

from model_registry.errors import GateError
from model_registry.gates import GATES, Evidence, Measures, PromotionPolicy, decide
from model_registry.results import WORDS
from model_registry.spending import Wear
from model_registry.words import counted

CLASSES = ("billing", "login", "crash", "praise")
ALL = [(name, {}) for name in GATES]


def answered(labels, right):
    """Probabilities of a model that answers these rows right, all others with the next class."""
    said = np.where(right, labels, (labels + 1) % len(CLASSES))
    return (0.9 * np.eye(len(CLASSES))[said] + 0.1 / len(CLASSES)).astype(np.float32)


def pair(gained=0, lost=0, rows=400, both=0.8, **changes):
    """Evidence where so many rows of every class changed sides."""
    labels = np.repeat(np.arange(len(CLASSES)), rows)
    place = np.tile(np.arange(rows), len(CLASSES))
    kept = place < both * rows
    ours = kept | (place >= rows - gained)
    theirs = kept | ((place >= rows - gained - lost) & (place < rows - gained))
    given = {
        "labels": labels,
        "classes": CLASSES,
        "challenger": answered(labels, ours),
        "champion": answered(labels, theirs),
        "champion_version": "3",
        "samples": 300,
    }
    return Evidence(**given | changes)


def one_class_fell(rows, fall, **changes):
    """The first three classes gain 5 points, the last has so many rows and falls."""
    given = pair(gained=20, **changes)
    mask = np.zeros(len(given.labels), bool)
    mask[: 1_200 + rows] = True
    place = np.arange(rows)
    last = np.full(rows, 3)
    challenger, champion = given.challenger[mask].copy(), given.champion[mask].copy()
    challenger[1_200:] = answered(last, place < (0.7 - fall) * rows)
    champion[1_200:] = answered(last, place < 0.7 * rows)
    return dataclasses.replace(
        given, labels=given.labels[mask], challenger=challenger, champion=champion
    )


def test_a_gain_beyond_chance_is_better_and_promoted():
    decision = decide(pair(gained=30, lost=10), ALL)
    assert (decision.promote, decision.verdict) == (True, "better")
    assert decision.reason.startswith("better: macro_f1 0.8750 against 0.8250 of v3 on 1,600 rows")


def test_a_loss_beyond_chance_is_worse_and_kept():
    decision = decide(pair(gained=10, lost=40), ALL)
    assert (decision.promote, decision.word) == (False, "worse")
    assert "beats_champion" in decision.reason


def test_too_little_to_tell_says_how_many_rows_would():
    decision = decide(pair(gained=10, lost=8, rows=200), ALL)
    assert (decision.promote, decision.word) == (False, "unsure")
    assert decision.more_rows > 500
    assert f"about {decision.more_rows:,} more test rows would show" in decision.reason


def test_no_rows_are_asked_for_that_would_only_confirm_a_loss():
    decision = decide(pair(gained=8, lost=10, rows=200), ALL)
    assert (decision.word, decision.more_rows) == ("unsure", 0)
    assert "more test row" not in decision.reason
    fallen = GATES["recall_holds"](one_class_fell(rows=40, fall=0.1), margins={"praise": 0.06})
    assert (fallen.passed, fallen.more_rows) == (False, 0)
    assert "would settle it" not in fallen.sentence


def test_no_rows_are_said_to_settle_what_one_gate_leaves_open():
    """One gate knows how many more rows it needs, the other that none would help."""
    given = one_class_fell(rows=40, fall=0.0, wear=Wear({40: 1}))
    asked = [("recall_holds", {"margins": {"praise": 0.05}}), ("beats_champion", {})]
    decision = decide(given, asked)
    assert [r.more_rows > 0 for r in decision.results if not r.passed] == [True, False]
    assert (decision.word, decision.more_rows) == ("unsure", 0)


def test_one_row_is_one_row():
    assert [counted(n, "more row") for n in (0, 1, 1_200)] == [
        "0 more rows", "1 more row", "1,200 more rows",
    ]  # fmt: skip


def test_so_many_more_rows_do_settle_it():
    """The rows that the sentence asks for, drawn at the observed rates, mostly suffice."""
    small = pair(gained=10, lost=8, rows=200)
    result = GATES["beats_champion"](small)
    wanted = (800 + result.more_rows) // 4
    promoted = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(4), wanted)
        cell = rng.choice(4, len(labels), p=[0.80, 0.05, 0.04, 0.11])
        ours, theirs = cell <= 1, (cell == 0) | (cell == 2)
        more = Evidence(
            labels, CLASSES, answered(labels, ours), champion=answered(labels, theirs), samples=200
        )
        promoted += GATES["beats_champion"](more).passed
    assert promoted >= 12


def test_no_gain_where_one_would_have_shown_says_how_surely():
    decision = decide(pair(gained=4, lost=5, rows=1_000), ALL)
    result = decision.results[-1]
    assert "a gain of 0.020 would have shown on 100% of such nights" in result.sentence


@pytest.mark.parametrize(("fresher", "promoted"), [("keep", False), ("promote", True)])
def test_not_worse_and_fresher_is_promoted_only_where_the_policy_asks(fresher, promoted):
    equal = pair(gained=8, lost=7, rows=1_000)
    decision = decide(equal, ALL, PromotionPolicy(fresher=fresher))
    assert (decision.promote, decision.word) == (promoted, "fresher")
    assert f"(policy.fresher: {fresher})" in decision.reason


def test_an_unfit_challenger_is_unfit_however_much_better_it_is():
    broken = pair(gained=40, measured=Measures(golden_difference=3e-3))
    decision = decide(broken, ALL, PromotionPolicy(fresher="promote"))
    assert (decision.promote, decision.word) == (False, "unfit")
    assert "golden_rows: golden rows differ from training's answers by 3.0e-03" in decision.reason


def test_other_rows_than_the_champions_are_refused():
    other = pair(
        gained=40,
        measured=Measures(test_digest="aa" * 32),
        champion_measured=Measures(test_digest="bb" * 32),
    )
    decision = decide(other, ALL)
    assert (decision.promote, decision.word) == (False, "unfit")
    assert "score both on tonight's rows" in decision.reason


def test_a_fall_of_a_rare_class_blocks_what_is_better_over_all():
    decision = decide(one_class_fell(rows=40, fall=0.2, metric="accuracy"), ALL)
    beats = next(r for r in decision.results if r.gate == "beats_champion")
    assert beats.passed
    assert (decision.promote, decision.word) == (False, "worse")
    assert "recall_holds: praise: recall 0.500 against 0.700 of v3 on 40 rows: it fell" in (
        decision.reason
    )


def test_a_class_of_too_few_rows_is_named_and_can_be_made_to_block():
    tiny = one_class_fell(rows=6, fall=0.5, metric="accuracy")
    result = GATES["recall_holds"](tiny)
    assert result.passed
    assert "too few rows to tell (13 are needed): rare classes (praise) (6 rows)" in result.sentence
    blocked = GATES["recall_holds"](tiny, block_unknown=1)
    assert (blocked.passed, blocked.failing) == (False, "unsure")


def test_a_class_can_have_a_margin_of_its_own():
    slight = one_class_fell(rows=400, fall=0.01, metric="accuracy")
    assert GATES["recall_holds"](slight).passed
    strict = GATES["recall_holds"](slight, margins={"praise": 0.01})
    assert not strict.passed
    assert "praise: recall 0.690 against 0.700" in strict.sentence


def test_poisoned_labels_of_one_class_are_seen_in_that_class():
    """5 % of all rows flipped away from one class: its recall falls, the rest gains."""
    result = GATES["recall_holds"](one_class_fell(rows=400, fall=0.15))
    assert (result.passed, result.failing) == (False, "worse")
    assert "praise" in result.sentence


def test_a_slice_that_fell_blocks():
    given = pair(gained=20, rows=400)
    challenger = given.challenger.copy()
    chat = np.arange(len(given.labels)) % 20 == 0
    wrong = answered(given.labels, np.zeros(len(given.labels), bool))
    fallen = chat & (np.arange(len(given.labels)) % 60 == 0)
    challenger[fallen] = wrong[fallen]
    sliced = dataclasses.replace(
        given, challenger=challenger, slices={"channel=chat": chat, "channel=mail": ~chat}
    )
    result = GATES["slices_hold"](sliced)
    assert not result.passed
    assert result.sentence.startswith("channel=chat: accuracy 0.")


def test_the_level_falls_after_the_first_look_and_a_worn_set_proves_nothing():
    levels = [pair(wear=Wear({n: 1}), worn_after=10).level for n in (0, 1, 9, 10)]
    assert levels == [0.025, pytest.approx(0.025 / 9), pytest.approx(0.025 / 9), 0.0]
    worn = decide(pair(gained=40, wear=Wear({10: 1}), worn_after=10), ALL)
    assert (worn.promote, worn.word) == (False, "unsure")
    assert "look 11 of 10 at these rows: the test set is worn" in worn.reason
    assert "new labelled rows make a new one" in worn.reason


def test_a_set_that_is_partly_new_has_the_level_of_its_rows_and_says_so():
    mixed = pair(gained=40, wear=Wear({0: 0.25, 6: 0.75}))
    assert mixed.level == pytest.approx(0.25 * 0.025 + 0.75 * 0.025 / 29)
    said = decide(mixed, ALL).reason
    assert "look 5.5 of 30 at these rows on average, 25% of them new, level 0.0069" in said


def test_the_day_of_the_first_look_is_said():
    said = decide(pair(gained=40, wear=Wear({3: 1}, since="2026-04-01")), ALL).reason
    assert "look 4 of 30 at these rows, the first on 2026-04-01, level" in said


def test_a_worn_set_may_go_on_judging_and_says_that_it_is_worn():
    warned = decide(pair(gained=40, wear=Wear({10: 1}), worn_after=10, worn_stops=False), ALL)
    assert warned.promote
    assert "look 11 of 10 at these rows (worn), level 0.0028" in warned.reason


def with_a_new_class(**changes):
    """The champion does not know `praise`, and the challenger does."""
    given = pair(**changes)
    champion = given.champion.copy()
    champion[:, 3] = np.nan
    return dataclasses.replace(given, champion=champion)


def test_a_new_class_is_left_out_of_the_comparison_and_named():
    decision = decide(with_a_new_class(gained=30), ALL)
    assert decision.promote
    assert "v3 does not know praise: compared on the 3 classes both know, 400 rows left out" in (
        decision.reason
    )
    assert "on 1,200 rows" in decision.reason


def test_false_alarms_for_a_new_class_count_against_the_challenger():
    given = with_a_new_class()
    challenger = given.challenger.copy()
    challenger[:100] = answered(np.full(100, 3), np.ones(100, bool))
    alarmed = dataclasses.replace(given, challenger=challenger)
    assert alarmed.difference.difference < given.difference.difference - 0.05
    assert decide(alarmed, ALL).word == "worse"


@pytest.mark.parametrize(
    ("policy", "promoted"), [("judge", False), ("keep", False), ("promote", True)]
)
def test_a_new_class_is_a_reason_to_promote_only_by_policy(policy, promoted):
    equal = with_a_new_class(gained=8, lost=7, rows=1_000, metric="accuracy")
    decision = decide(equal, ALL, PromotionPolicy(new_classes=policy))
    assert decision.promote is promoted
    assert "does not know praise" in decision.reason


@pytest.mark.parametrize(("policy", "promoted"), [("judge", True), ("keep", False)])
def test_a_vanished_class_keeps_the_champion_unless_the_policy_judges_by_the_rest(policy, promoted):
    lacking = pair(gained=30, vanished=("refund",))
    decision = decide(lacking, ALL, PromotionPolicy(vanished_classes=policy))
    assert (decision.promote, decision.word) == (promoted, "better")
    assert "v3 alone knows refund" in decision.reason


def test_nothing_in_common_with_the_champion_cannot_be_judged():
    given = pair()
    champion = np.full_like(given.champion, np.nan)
    strange = dataclasses.replace(given, champion=champion)
    assert not decide(strange, ALL).promote
    with pytest.raises(GateError, match="no test row of a class that the champion knows"):
        _ = strange.shared


def test_every_verdict_has_a_word_of_its_own():
    assert len(set(WORDS.values())) == len(WORDS) == 5


def test_a_slice_of_other_rows_is_refused():
    with pytest.raises(GateError, match=r"evidence.slices\['a=b'\]: expected a mask of shape"):
        pair(slices={"a=b": np.ones(3, bool)})


def test_worse_calibration_beyond_chance_keeps_the_champion():
    given = pair(
        gained=40,
        measured=Measures(ece=0.12),
        champion_measured=Measures(ece=0.05),
        calibration_low=0.04,
    )
    assert decide(given, ALL).word == "worse"
    chance = dataclasses.replace(given, calibration_low=-0.01)
    assert "the difference may be chance" in GATES["calibrated"](chance).sentence
    assert decide(chance, ALL).promote
