"""Probation over simulated versions: how often an equal one is demoted, and a worse one."""

import numpy as np
import pytest

from model_registry.errors import GateError
from model_registry.probation import Said, Terms, judge, on_probation
from model_registry.spending import even_level_of
from tests.faults.promoting import FACTS, Place, asked

CLASSES = ("billing", "login", "crash")
TERMS = Terms(looks=7, alpha=0.05, margin=0.0, metric="macro_f1", samples=200)


def said(version, truth, right, rng, classes=CLASSES):
    """A version that is right on that share of the rows, and else answers at random."""
    at = np.where(rng.random(len(truth)) < right, truth, rng.integers(0, 3, len(truth)))
    return Said(version, classes, np.eye(3)[at])


def demoted(right, predecessor, seed, rows_a_night=60, terms=TERMS):
    """Whether one of the looks of a probation demotes; rows become more from look to look."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, rows_a_night * terms.looks, p=[0.6, 0.3, 0.1])
    both = [said(v, truth, share, rng) for v, share in (("2", right), ("1", predecessor))]
    for look in range(1, terms.looks + 1):
        rows = rows_a_night * look
        cut = [Said(one.version, one.classes, one.probabilities[:rows]) for one in both]
        labels = [CLASSES[c] for c in truth[:rows]]
        if judge(labels, *cut, look=look, terms=terms).worse:
            return True
    return False


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_an_equally_good_champion_is_demoted_in_at_most_one_of_twenty_probations(metric):
    terms = Terms(looks=7, alpha=0.05, margin=0.0, metric=metric, samples=200)
    found = [demoted(0.8, 0.8, seed, terms=terms) for seed in range(200)]
    assert np.mean(found) <= 0.05


def test_a_champion_that_is_far_worse_is_demoted():
    assert np.mean([demoted(0.65, 0.85, seed) for seed in range(40)]) >= 0.9


def test_a_loss_within_the_margin_is_borne():
    terms = Terms(looks=7, alpha=0.05, margin=0.2, metric="macro_f1", samples=200)
    assert not any(demoted(0.7, 0.85, seed, terms=terms) for seed in range(20))


def test_the_looks_share_the_error_evenly_and_there_are_no_more_than_were_asked_for():
    assert sum(even_level_of(look, alpha=0.05, life=7) for look in range(1, 20)) == pytest.approx(
        0.05
    )
    assert even_level_of(8, alpha=0.05, life=7) == 0
    with pytest.raises(ValueError, match="the first look is number 1"):
        even_level_of(0, alpha=0.05, life=7)


def test_versions_are_compared_on_the_classes_that_both_know():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 90)
    labels = [("billing", "login", "refund")[c] for c in truth]
    new = said("2", truth, 1.0, rng, ("billing", "login", "refund"))
    old = said("1", np.minimum(truth, 1), 1.0, rng, ("billing", "login", "crash"))
    found = judge(labels, new, old, look=1, terms=TERMS)
    assert found.difference.rows == sum(label != "refund" for label in labels)
    assert (found.difference.first, found.worse) == (1.0, False)
    with pytest.raises(GateError, match="none of 4 rows is of a class that v1 knows too"):
        judge(["refund"] * 4, new, old, look=1, terms=TERMS)


def test_the_sentence_quotes_everything_that_was_judged_by():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 300)
    labels = [CLASSES[c] for c in truth]
    found = judge(
        labels, said("8", truth, 0.5, rng), said("7", truth, 0.95, rng), look=3, terms=TERMS
    )
    assert found.worse
    for part in ("v8 is worse than", "v7", "300 labelled rows", "95% CI", "look 3 of 7"):
        assert part in found.sentence
    assert found.numbers["look"] == 3
    assert found.numbers["difference"] == found.difference.difference < 0


def place_with(tmp_path, **asking):
    place = Place(tmp_path).promoted("1")
    place.promotions().promote(place.judged("2"), asked("night of v2", **asking))
    return place


def trial_of(place):
    return on_probation(list(place.ledger.follow()))


def test_who_was_promoted_by_a_night_or_approved_is_on_probation(tmp_path):
    place = Place(tmp_path).promoted("1")
    assert trial_of(place) is None
    place.promotions().propose(place.judged("2"), asked("night of v2"))
    assert trial_of(place) is None
    place.promotions().approve(asked("ada says yes"))
    trial = trial_of(place)
    assert (trial.champion.version, trial.predecessor.version) == ("2", "1")
    assert trial.snapshots == (FACTS.digests["data"],) * 2


def test_who_was_put_there_by_a_person_or_gone_back_to_is_nobody_s_to_demote(tmp_path):
    place = place_with(tmp_path, person=True)
    assert trial_of(place) is None
    place.promotions().promote(place.judged("3"), asked("night of v3"))
    assert trial_of(place).predecessor.version == "2"
    place.promotions().rollback(asked("ada goes back"))
    assert trial_of(place) is None
