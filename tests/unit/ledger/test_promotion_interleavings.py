"""Several actors on one pipeline, their calls interleaved in every way Hypothesis thinks of.

Each actor is a thread that waits for its turn before and after each call to the store or to
MLflow, so that exactly one runs at a time and a schedule replays. An actor may die at its turn,
which is a kill; one that gets no turn for long is a process that was stopped.
"""

import tempfile
import threading
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from model_registry.errors import PromotionLost, RegistryError
from tests.faults.invariants import violations
from tests.faults.promoting import Died, Place, asked

TURN_SECONDS = 30


class Actor:
    """Something that is done in turns; `outcome` is what it was told."""

    def __init__(self, place, action):
        self.place, self.action = place, action
        self.outcome = self.error = None
        self.turn, self.yielded = threading.Semaphore(0), threading.Semaphore(0)
        self.dying = self.over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.cross("")
            self.outcome = self.action(self.place.promotions(self))
        except Died:
            pass
        except RegistryError as error:
            self.error = error
        except BaseException as error:  # told by `take_turns`
            self.error = error
        self.over = True
        self.yielded.release()

    def cross(self, name):
        """A point as in `Points`: where the actor waits until it is its turn."""
        if name:
            self.yielded.release()
        assert self.turn.acquire(timeout=TURN_SECONDS)
        if self.dying:
            raise Died(name)

    def step(self):
        self.turn.release()
        assert self.yielded.acquire(timeout=TURN_SECONDS)


def take_turns(actors, schedule, dead=()):
    """By the schedule, then one after the other until all are over."""
    for chosen, times in schedule:
        actor = actors[chosen % len(actors)]
        for _ in range(times):
            if not actor.over:
                actor.step()
    for number in dead:
        actors[number % len(actors)].dying = True
    for actor in actors:
        while not actor.over:
            actor.step()
    for actor in actors:
        actor.thread.join(timeout=TURN_SECONDS)
        if actor.error is not None and not isinstance(actor.error, RegistryError):
            raise actor.error


bursts = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=20)
effort = pytest.mark.parametrize("examples", [15, pytest.param(400, marks=pytest.mark.slow)])


def settled(place, actors):
    place.promotions().reconcile(asked())
    told = [actor.outcome for actor in actors if getattr(actor.outcome, "number", None)]
    assert violations(place.ledger, place.mirror, place.mirror.unfit, told) == []


def tried(examples, check, **drawn):
    """Check many draws, each in a place of its own where two versions were promoted."""

    @settings(max_examples=examples, deadline=None)
    @given(**drawn)
    def one(**values):
        with tempfile.TemporaryDirectory() as folder:
            check(Place(Path(folder)).promoted("1", "2"), **values)

    one()


def promoting(judged):
    return lambda promotions: promotions.promote(judged, asked())


@effort
def test_of_racing_promotions_one_wins_and_the_others_are_told(examples):
    def check(place, schedule):
        judged = [place.judged(version) for version in ("3", "4", "5")]
        actors = [Actor(place, promoting(one)) for one in judged]
        take_turns(actors, schedule)
        assert sorted(actor.outcome is not None for actor in actors) == [False, False, True]
        assert all(isinstance(a.error, PromotionLost) for a in actors if a.outcome is None)
        winner = next(actor.outcome.version for actor in actors if actor.outcome)
        assert place.mirror.standing().shows(winner)
        settled(place, actors)

    tried(examples, check, schedule=bursts)


@effort
def test_whoever_dies_between_the_others_leaves_nothing_half_way(examples):
    def check(place, schedule, dead):
        judged = place.judged("3")
        actors = [
            Actor(place, promoting(judged)),
            Actor(place, lambda promotions: promotions.rollback(asked())),
            Actor(place, lambda promotions: promotions.reconcile(asked())),
        ]
        take_turns(actors, schedule, dead)
        settled(place, actors)

    tried(examples, check, schedule=bursts, dead=st.sets(st.integers(0, 2)))


@effort
def test_whoever_sleeps_through_later_promotions_cannot_promote(examples):
    def check(place, asleep):
        zombie = Actor(place, promoting(place.judged("3")))
        while asleep and not zombie.over:
            zombie.step()
            asleep -= 1
        place.promotions().reconcile(asked())
        place.promoted("4", "5")
        place.mirror.writes.clear()
        take_turns([zombie], [])
        on_its_way = [write for write in place.mirror.writes if write[1] == "3"]
        assert len([write for write in on_its_way if write[0] != "Archived"]) <= 1
        champion = place.promotions().state().champion
        assert champion.version == "5"
        assert place.mirror.standing().shows("5")
        assert zombie.error or zombie.outcome.number < champion.since
        settled(place, [zombie])

    tried(examples, check, asleep=st.integers(1, 80))
