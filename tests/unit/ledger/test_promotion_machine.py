"""The protocol against a model of it, dying or failing at any call to the store or to MLflow."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from model_registry import decisions
from model_registry.errors import PromotionLost, RegistryError, RegistryUnreachable
from model_registry.protocol import PromotionRefused
from tests.faults.invariants import violations
from tests.faults.promoting import Died, Place, Points, asked, dies, fails, quick_disk

# Most calls go well; otherwise something happens at one of the first points of it.
faults = st.one_of(
    st.none(),
    st.tuples(st.integers(1, 90), st.sampled_from([dies, fails])),
)


class NightsThatMayDie(RuleBasedStateMachine):
    """Nights and persons, one after the other, on one pipeline."""

    judgements = Bundle("judgements")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.quick = quick_disk()
        self.quick.__enter__()
        self.place = Place(Path(self.folder.name))
        self.told = []  # outcomes that somebody was told
        self.barred = set()  # versions whose rollback somebody was told of
        self.number = 0

    def teardown(self):
        self.come_back()
        self.recover(None)
        self.quick.__exit__(None, None, None)
        self.folder.cleanup()

    def does(self, fault, action):
        """Run an action with a fault in it: its outcome, or None where it never told one."""
        points = Points(*fault) if fault else Points()
        try:
            outcome = action(self.place.promotions(points))
        except (Died, OSError, RegistryUnreachable):
            assert self.place.mirror.down or points.crossed >= points.at
            return None
        if outcome is not None:
            self.told.append(outcome)
        return outcome

    def clean(self, fault):
        return fault is None and not self.place.mirror.down

    @property
    def champion(self):
        return self.place.promotions().state().champion

    @rule(target=judgements)
    def judge(self):
        """A night judges a new version; it may wake up to promote it much later."""
        self.number += 1
        return self.place.judged(str(self.number)), asked(f"night {self.number}")

    @rule(judgement=judgements, fault=faults, person=st.booleans())
    def promote(self, judgement, fault, person):
        judged, night = judgement
        night = asked(night.request, person=person)
        before = self.place.promotions().state()
        known = judged.request(night) in before.requests
        unfit = self.place.mirror.unfit(judged.version, judged.digest)
        by_hand = self.changed_by_hand(before)
        try:
            outcome = self.does(fault, lambda p: p.promote(judged, night))
        except PromotionLost:
            assert before.pending or before.champion != judged.expected or known or by_hand
        except PromotionRefused:
            assert not (person and fault is None) or before.champion or before.pending or unfit
        else:
            if outcome and not known:
                assert self.champion.version == judged.version
                assert person or judged.version not in self.barred
                self.barred.discard(judged.version)

    def changed_by_hand(self, state):
        mirror, champion = self.place.mirror, state.champion
        shown = None if mirror.down else mirror.standing()
        return shown is not None and not shown.shows(champion.version if champion else None)

    @rule(fault=faults)
    def promote_what_is_fresh(self, fault):
        """Nothing stands in the way of a fresh judgement when nothing goes wrong."""
        judged, night = self.judge()
        if self.clean(fault):
            self.place.promotions().reconcile(asked())
            judged = self.place.judged(judged.version)
        try:
            outcome = self.does(fault, lambda p: p.promote(judged, night))
        except (PromotionLost, PromotionRefused):
            assert not self.clean(fault)
        else:
            assert outcome or not self.clean(fault)

    @rule(judgement=judgements, fault=faults)
    def keep(self, judgement, fault):
        self.does(fault, lambda p: p.keep(judgement[0], asked()))

    @rule(judgement=judgements, fault=faults)
    def propose(self, judgement, fault):
        self.does(fault, lambda p: p.propose(judgement[0], asked()))

    @rule(fault=faults, yes=st.booleans(), data=st.data())
    def answer_a_proposal(self, fault, yes, data):
        before = self.place.promotions().state()
        waiting = sorted(before.proposals)
        if not waiting:
            return
        version = data.draw(st.sampled_from(waiting))
        try:
            if yes:
                self.does(fault, lambda p: p.approve(asked(), version))
            elif self.does(fault, lambda p: p.reject(asked(), version)):
                self.barred.add(version)
        except (PromotionLost, PromotionRefused):
            assert yes
        except RegistryError:  # a yes before this no is under way
            assert not yes
            assert before.pending.target.version == version
        if yes and self.champion and self.champion.version == version:
            self.barred.discard(version)

    @rule(fault=faults)
    def roll_back(self, fault):
        before = self.place.promotions().state()
        try:
            outcome = self.does(fault, lambda p: p.rollback(asked()))
        except RegistryError:
            assert fault or before.pending or not before.past or self.lost(before.past[-1])
            return
        if outcome:
            left = before.pending.target if before.pending else before.champion
            assert self.champion.version == outcome.version
            if left.version != outcome.version:
                self.barred.add(left.version)

    @rule(fault=faults)
    def take_over(self, fault):
        """From a night that fell silent; nothing but the head of the ledger changes."""
        before = self.place.promotions().state()
        self.does(fault, lambda p: p.fence(asked()))
        after = self.place.promotions().state()
        assert (after.champion, after.pending) == (before.champion, before.pending)

    def lost(self, champion):
        return self.place.mirror.unfit(champion.version, champion.digest) is not None

    @rule(judgement=judgements, stage=st.sampled_from(["Production", "Archived", "Staging"]))
    def change_a_stage_by_hand(self, judgement, stage):
        self.come_back()
        if self.place.ledger.has(1):
            self.place.mirror.set_stage(judgement[0].version, stage)

    @rule(judgement=judgements)
    def move_the_alias_by_hand(self, judgement):
        self.come_back()
        if self.place.ledger.has(1):
            self.place.mirror.set_alias(judgement[0].version)

    @rule(judgement=judgements)
    def lose_a_bundle_that_never_served(self, judgement):
        state = self.place.promotions().state()
        served = [state.champion, *state.past]
        if judgement[0].version not in {champion.version for champion in served if champion}:
            self.place.mirror.lose(judgement[0].version)

    @rule()
    def go_away(self):
        self.place.mirror.set_down(True)

    @precondition(lambda self: self.place.mirror.down)
    @rule()
    def come_back(self):
        self.place.mirror.set_down(False)

    @precondition(lambda self: not self.place.mirror.down)
    @rule(fault=faults)
    def recover(self, fault):
        """After any number of faults, whoever comes next finds everything mended."""
        points = Points(*fault) if fault else Points()
        try:
            self.place.promotions(points).reconcile(asked())
        except (Died, OSError, RegistryUnreachable):
            assert points.crossed >= points.at
            return
        mirror = self.place.mirror
        assert violations(self.place.ledger, mirror, mirror.unfit, self.told) == []
        assert self.place.promotions().reconcile(asked()) == ()

    @invariant()
    def the_chain_holds(self):
        assert self.place.ledger.verify() == ()
        state = decisions.state_of(self.place.ledger.follow())
        assert state == decisions.read(self.place.ledger)
        assert not state.champion or state.champion.version not in self.barred


TestNightsThatMayDie = NightsThatMayDie.TestCase
TestNightsThatMayDie.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
