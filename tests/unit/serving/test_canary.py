"""A proposed challenger answers its share; where it fails nobody sees it, and it stops."""

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

from serving.canary import FLIGHTS, Canary, Side, Trial
from serving.engine import Answers
from tasks.ragged import Ragged


class Version:
    """Answers every row with its number, or fails."""

    def __init__(self, version, *, fails=False, answer=1.0):
        self.version, self.digest = version, version * 64
        self.fails, self.given = fails, answer

    def encode(self, rows):
        return rows

    def answer(self, rows):
        if self.fails:
            raise RuntimeError("out of order")
        empty = Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64))
        return Answers(self, np.full((len(rows), 2), self.given, np.float32), empty)


def slot(challenger, *, proposed=True):
    return SimpleNamespace(live=Version("1"), challenger=challenger, proposed=proposed)


def answered(canary, flights):
    found = []
    for _ in range(flights):
        engine = canary.choose()
        found.append(engine.answer(engine.encode(["a", "b"])).engine.version)
    return found


def test_a_proposed_challenger_answers_its_share():
    found = answered(Canary(slot(Version("2")), 0.25), 2_000)
    assert 400 < found.count("2") < 600
    assert set(found) == {"1", "2"}


@pytest.mark.parametrize(
    "canary",
    [
        Canary(slot(Version("2")), 0.0),
        Canary(slot(None), 1.0),
        Canary(slot(Version("2"), proposed=False), 1.0),
    ],
    ids=["no share", "no challenger", "one that failed its gates"],
)
def test_nobody_else_ever_does(canary):
    assert set(answered(canary, 100)) == {"1"}
    assert canary.told() is None


@pytest.mark.parametrize("challenger", [Version("2", fails=True), Version("2", answer=np.nan)])
def test_its_failures_are_answered_by_the_champion_and_end_it(challenger):
    canary = Canary(slot(challenger), 0.5)
    assert set(answered(canary, 100)) == {"1"}
    told = canary.told()
    assert told["challenger"]["failures"] == 3
    assert told["stopped"] == "failed 3 of 3 flights, champion 0.0%"


def test_a_new_challenger_begins_anew():
    place = slot(Version("2", fails=True))
    canary = Canary(place, 1.0)
    answered(canary, 20)
    assert canary.trial.stopped
    place.challenger = Version("3")
    assert set(answered(canary, 20)) == {"3"}


def test_one_that_is_much_slower_ends_and_a_little_slower_does_not():
    champion = Side("1", FLIGHTS, 1_000, 0, deque([0.001] * FLIGHTS))

    def judged(seconds, flights=FLIGHTS, failures=0):
        return Trial(Side("2", flights, 1_000, failures, deque(seconds)), champion).judge()

    assert "4.0 times as long" in judged([0.004] * FLIGHTS)
    assert judged([0.002] * FLIGHTS) is None
    assert judged([0.009] * (FLIGHTS - 1), flights=FLIGHTS - 1) is None
    assert judged([0.001] * FLIGHTS, failures=2) is None
    assert judged([0.001] * FLIGHTS + [5.0]) is None, "the machine was held up once"
