"""Every gate of the table, and a broken one to show that the checks can fail."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model_registry.errors import GateError
from model_registry.evidence import answers
from model_registry.gates import (
    GATES,
    Evidence,
    GateResult,
    Measures,
    Shadowed,
    check,
    decide,
)
from model_registry.statistics import METRICS

BY_DIGEST = ("same_rows", "artifact_intact", "shadow")  # they judge no number of the night
CLASSES = ("billing", "login", "crash", "praise")
ALL = [(name, {}) for name in GATES]


def model_of(labels, right, rng):
    """Probabilities of a model that is right on about that share of the rows."""
    classes = len(CLASSES)
    said = np.where(rng.random(len(labels)) < right, labels, rng.integers(0, classes, len(labels)))
    return (0.9 * np.eye(classes)[said] + 0.1 / classes).astype(np.float32)


def labels_of(rows, rng):
    return rng.choice(len(CLASSES), rows, p=[0.6, 0.2, 0.15, 0.05])


MEASURED = Measures(
    test_digest="5d" * 32,
    ece=0.04,
    latency_milliseconds=3.2,
    golden_difference=2e-7,
    digest="1a" * 32,
    scored_digest="1a" * 32,
)


def evidence(rows=600, right=0.9, champion=None, floor=0.5, seed=0, **changes):
    rng = np.random.default_rng(seed)
    labels = labels_of(rows, rng)
    given = {
        "labels": labels,
        "classes": CLASSES,
        "challenger": model_of(labels, right, rng),
        "champion": None if champion is None else model_of(labels, champion, rng),
        "floor": None if floor is None else model_of(labels, floor, rng),
        "samples": 200,
        "slices": {"channel=chat": np.arange(rows) % 2 == 0},
        "measured": MEASURED,
        "champion_measured": MEASURED,
    }
    return Evidence(**given | changes)


def measured(champion=0.5, **changes):
    return evidence(champion=champion, measured=dataclasses.replace(MEASURED, **changes))


def broken(evidence):
    """Lets everything through, and quotes nothing."""
    return GateResult("broken", passed=True, sentence="fine")


def constant(rows=600):
    probabilities = np.full((rows, len(CLASSES)), 0.01, np.float32)
    probabilities[:, 0] = 0.97
    return probabilities


def not_numbers():
    probabilities = constant()
    probabilities[3] = np.nan
    return probabilities


UNFIT = {
    "finite": evidence(challenger=not_numbers()),
    "not_collapsed": evidence(challenger=constant()),
    "beats_majority": evidence(challenger=constant()),
    "beats_floor": evidence(right=0.4, floor=0.9),
    "calibrated": measured(ece=0.6),
    "fast_enough": measured(latency_milliseconds=60_000.0),
    "golden_rows": measured(golden_difference=2e-4),
    "artifact_intact": measured(scored_digest="cd" * 32),
    "same_rows": measured(test_digest="00" * 32),
    "recall_holds": evidence(right=0.4, champion=0.9),
    "slices_hold": evidence(right=0.4, champion=0.9),
    "shadow": evidence(champion=0.5, shadow=Shadowed(rows=400, failed=3)),
    "beats_champion": evidence(right=0.4, champion=0.9),
}


def fails_the_unfit(gate, name):
    return not gate(UNFIT[name]).passed


def passes_the_fit(gate):
    return gate(evidence(champion=0.5)).passed


def quotes_numbers(gate, name):
    said = [gate(evidence(champion=0.5)), gate(UNFIT[name])]
    return all(any(character.isdigit() for character in result.sentence) for result in said)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_passes_the_fit_and_stops_the_unfit(name):
    assert passes_the_fit(GATES[name])
    assert fails_the_unfit(GATES[name], name)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_names_itself_and_quotes_its_numbers(name):
    assert GATES[name](UNFIT[name]).gate == name
    assert quotes_numbers(GATES[name], name)


@pytest.mark.parametrize("name", GATES)
def test_a_broken_gate_would_be_caught(name):
    assert not fails_the_unfit(broken, name)
    assert not quotes_numbers(broken, name)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_gives_the_same_word_twice(name):
    assert GATES[name](UNFIT[name]) == GATES[name](UNFIT[name])


@pytest.mark.parametrize("name", [name for name in GATES if name not in BY_DIGEST])
def test_a_gate_answers_evidence_full_of_nan_without_letting_it_through(name):
    nothing = np.full((600, len(CLASSES)), np.nan, np.float32)
    unmeasured = Measures(ece=np.nan, latency_milliseconds=np.nan, golden_difference=np.nan)
    decision = decide(evidence(challenger=nothing, champion=0.5, measured=unmeasured), [(name, {})])
    assert not decision.promote
    assert decision.results[0].sentence


def test_all_gates_together_promote_a_better_model():
    decision = decide(evidence(champion=0.6, champion_version="3"), ALL)
    assert decision.promote
    assert "v3" in decision.reason
    assert "95% CI" in decision.reason


def test_the_first_version_needs_no_champion():
    decision = decide(evidence(champion=None), ALL)
    assert decision.promote
    assert "first version" in decision.reason


def test_a_refusal_names_each_gate_that_failed():
    decision = decide(evidence(challenger=constant()), ALL)
    assert not decision.promote
    assert "not_collapsed: 1 of 4 classes predicted" in decision.reason
    assert "of the majority baseline" in decision.reason


def test_the_floor_that_won_is_not_compared_with_itself():
    result = GATES["beats_floor"](evidence(right=0.4, floor=0.9, challenger_is_floor=True))
    assert result.passed
    assert "is the challenger" in result.sentence


@pytest.mark.parametrize("rows", [52, 120, 600])
def test_answers_at_random_beat_a_constant_one_and_are_no_model(rows):
    let = [
        GATES["beats_majority"](evidence(rows, right=0.0, challenger=at_random(rows, seed)))
        for seed in range(60)
    ]
    assert sum("> " in result.sentence for result in let) > 40
    assert sum(result.passed for result in let) <= 3
    refused = next(result for result in let if "; by chance" in result.sentence)
    assert "nothing shows that there is something to learn" in refused.sentence
    assert GATES["beats_majority"](evidence(rows, right=0.6)).passed


def at_random(rows, seed):
    return np.random.default_rng(1_000 + seed).dirichlet(np.ones(len(CLASSES)), rows)


def test_a_perfect_floor_is_matched_not_beaten():
    assert GATES["beats_floor"](evidence(right=1.0, floor=1.0)).passed
    assert not GATES["beats_floor"](evidence(right=0.99, floor=1.0)).passed
    one = evidence(right=0.9)
    assert not GATES["beats_floor"](dataclasses.replace(one, floor=one.challenger)).passed


@pytest.mark.parametrize(
    ("rows", "right", "floor", "near"),
    [(120, 0.9, 0.93, True), (600, 0.85, 0.9, False), (600, 0.99, 1.0, False)],
)
def test_falling_short_of_the_floor_by_an_error_passes_only_where_it_is_allowed(
    rows, right, floor, near
):
    given_evidence = evidence(rows, right=right, floor=floor)
    strict = GATES["beats_floor"](given_evidence)
    lenient = GATES["beats_floor"](given_evidence, errors=1)
    assert (strict.passed, lenient.passed) == (False, near), lenient.sentence
    assert strict.numbers["challenger"] < strict.numbers["other"]
    assert f"the standard error is {strict.numbers['standard_error']:.4f}" in strict.sentence


def test_a_margin_over_the_floor_is_demanded_of_both():
    one = evidence(right=0.9)
    same = dataclasses.replace(one, floor=one.challenger)
    assert GATES["beats_floor"](same, errors=1).passed
    assert not GATES["beats_floor"](same, errors=1, margin=0.01).passed


def test_without_a_floor_the_gate_says_so():
    result = GATES["beats_floor"](evidence(floor=None))
    assert result.passed
    assert "no averaged-embedding floor" in result.sentence


def test_a_margin_is_demanded_of_the_lower_bound():
    given_evidence = evidence(right=0.9, champion=0.8, rows=3_000)
    assert GATES["beats_champion"](given_evidence).passed
    bound = given_evidence.difference.at_least(given_evidence.level)
    assert not GATES["beats_champion"](given_evidence, margin=bound).passed


def test_a_class_the_champion_does_not_know_is_never_its_answer():
    known = evidence(champion=0.9)
    assert known.champion is not None
    partial = known.champion.copy()
    partial[:, 3] = np.nan
    assert 3 not in answers(partial)
    assert GATES["beats_champion"](dataclasses.replace(known, champion=partial)).numbers


def test_numbers_beside_the_probabilities_must_be_finite_too():
    result = GATES["finite"](evidence(extra={"log_loss": float("inf"), "ece": 0.1}))
    assert not result.passed
    assert result.sentence == "metric not finite: log_loss"


def test_an_unknown_gate_names_the_nearest():
    with pytest.raises(GateError, match="'beats_champ'; did you mean 'beats_champion'"):
        decide(evidence(), [("beats_champ", {})])


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(GateError, match="did you mean 'margin'"):
        check([("beats_champion", {"margn": 0.1})])


@pytest.mark.parametrize("value", ["much", True, None])
def test_an_option_must_be_a_number(value):
    with pytest.raises(GateError, match="margin must be a number"):
        check([("beats_champion", {"margin": value})])


def test_no_gate_at_all_is_refused():
    with pytest.raises(GateError, match="none asked for"):
        decide(evidence(), [])


def test_models_scored_on_other_rows_are_refused():
    with pytest.raises(GateError, match=r"champion: expected probabilities of shape \(600, 4\)"):
        dataclasses.replace(evidence(), champion=constant(599))


def test_a_gate_that_breaks_does_not_let_through(monkeypatch):
    def explodes(evidence):
        raise ZeroDivisionError("no rows of that class")

    monkeypatch.setitem(GATES, "explodes", explodes)
    decision = decide(evidence(), [("finite", {}), ("explodes", {})])
    assert not decision.promote
    assert "explodes: could not judge: ZeroDivisionError: no rows" in decision.reason


@settings(max_examples=50, deadline=None)
@given(
    labels=arrays.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 3)),
    metric=st.sampled_from(sorted(METRICS)),
    data=st.data(),
)
def test_a_model_is_never_better_than_itself(labels, metric, data):
    said = data.draw(arrays.arrays(np.int64, len(labels), elements=st.integers(0, 3)))
    same = np.eye(4)[said]
    told = Evidence(labels, CLASSES, same, champion=same.copy(), metric=metric, samples=100, seed=1)
    result = GATES["beats_champion"](told)
    assert not result.passed
    assert result.numbers["difference"] == 0


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_equal_models_are_hardly_ever_promoted(metric):
    """A/A: two models of one quality, 200 nights; by chance alone 2.5 % would pass."""
    promoted = sum(
        GATES["beats_champion"](
            evidence(rows=1_000, right=0.8, champion=0.8, seed=seed, metric=metric)
        ).passed
        for seed in range(200)
    )
    assert promoted <= 10


def test_a_clearly_better_model_is_promoted_nearly_always():
    promoted = sum(
        decide(evidence(rows=2_000, right=0.87, champion=0.8, seed=seed), ALL).promote
        for seed in range(50)
    )
    assert promoted >= 45


SEEN = Shadowed(rows=400, agreement=0.9, milliseconds=2.0, champion_milliseconds=1.0)


@pytest.mark.parametrize(
    ("shadow", "options", "passed", "says"),
    [
        (SEEN, {}, True, "0 of 400 live rows without an answer, 90.0% of the others"),
        (None, {}, True, "no shadow traffic yet, 0 live rows"),
        (None, {"required": 1}, False, "no shadow traffic yet"),
        (dataclasses.replace(SEEN, rows=40), {}, True, "too little shadow traffic yet, 100 live"),
        (dataclasses.replace(SEEN, rows=40), {"required": 1}, False, "too little shadow traffic"),
        (dataclasses.replace(SEEN, rows=40), {"rows": 40, "required": 1}, True, "0 of 40 live"),
        (Shadowed(rows=5, failed=1), {}, False, "left live rows without an answer"),
        (Shadowed(rows=999, failed=1), {"failed": 0.01}, True, "1 of 1,000 live rows"),
        (dataclasses.replace(SEEN, agreement=0.3), {}, False, "it disagrees with the champion"),
        (dataclasses.replace(SEEN, agreement=np.nan), {}, False, "it disagrees with the champion"),
        (dataclasses.replace(SEEN, agreement=0.3), {"disagree": 0.8}, True, "30.0% of the others"),
        (dataclasses.replace(SEEN, milliseconds=3.2), {}, False, "at most 3 times the champion's"),
        (dataclasses.replace(SEEN, milliseconds=3.2), {"slower": 4.0}, True, "3.20 ms a row"),
        (Shadowed(error="golden rows: differ"), {}, False, "it cannot be loaded"),
    ],
)
def test_the_shadow_is_judged_by_what_it_did_to_live_rows(shadow, options, passed, says):
    result = GATES["shadow"](evidence(champion=0.5, shadow=shadow), **options)
    assert (result.passed, says in result.sentence) == (passed, True), result.sentence


def test_where_a_person_is_asked_first_the_shadow_is_asked_again_then():
    waits = evidence(champion=0.5, waits=True)
    result = GATES["shadow"](waits, required=1)
    assert result.passed
    assert "asked again at `nocturne approve`" in result.sentence
    broken = dataclasses.replace(waits, shadow=Shadowed(rows=9, failed=9))
    assert not GATES["shadow"](broken).passed
