"""Promotions: the ledger decides, the mirror follows, and nothing is left half-way.

A move is an *intent* in the ledger, then idempotent steps on the mirror, then *done*. Whoever
finds an intent without its done finishes it, or turns it back where its bundle cannot serve.
A night that judged against a champion who left cannot promote, however late it wakes up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from model_registry import decisions, planning
from model_registry.asking import Asked, Facts, Judged
from model_registry.chain import Draft, Entry, LedgerBroken, LedgerError
from model_registry.errors import PromotionLost, RegistryError
from model_registry.ledger import Ledger
from model_registry.mirror import Mirror
from model_registry.outcomes import Outcome, PromotionRefused, outcome_of
from model_registry.planning import OnHandChange, Unfit
from model_registry.reconciling import ROUNDS, Reconciler
from model_registry.state import Champion, Proposal, State
from model_registry.versions import ARCHIVED

__all__ = ["Asked", "Facts", "Judged", "Outcome", "PromotionRefused", "Promotions"]

logger = logging.getLogger(__name__)


class Promotions:
    """Every way to change who is champion.

    Args:
        ledger: The pipeline's.
        mirror: What follows it.
        unfit: From version and digest to why that bundle cannot serve, None where it can;
            raises RegistryUnreachable where that cannot be found out now.
        on_hand_change: What to do about a stage or alias that somebody moved in MLflow's page.
        still_ours: Asked before each entry; raises where the one who asks may write no more.
    """

    def __init__(
        self,
        ledger: Ledger,
        mirror: Mirror,
        *,
        unfit: Unfit,
        on_hand_change: OnHandChange = "revert",
        still_ours: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.mirror = mirror
        self.unfit = unfit
        self._both = Reconciler(
            *(ledger, mirror), unfit=unfit, on_hand_change=on_hand_change, still_ours=still_ours
        )

    def state(self) -> State:
        """Where the pipeline stands now, by the ledger."""
        return self._both.state()

    def answer(self, request: str) -> Outcome | None:
        """What was decided on a request before, if it stands; a night asks this first."""
        found = self.state().requests
        begins = f"{request} | "
        numbers = [n for key, n in found.items() if key == request or key.startswith(begins)]
        for number in sorted(numbers, reverse=True):
            try:
                return self._outcome(number)
            except (PromotionLost, PromotionRefused):
                continue
        return None

    def promote(self, judged: Judged, asked: Asked) -> Outcome:
        """Put a version into Production, whole or not at all.

        Raises:
            PromotionLost: another champion than the expected one; recorded.
            PromotionRefused: rolled back before, bundle missing or damaged; recorded.
            RegistryUnreachable: MLflow is away. Nothing was decided, or an intent is left that
                `reconcile` finishes; asking again tells which.
        """
        return self._promote(judged, asked, judged.request(asked))

    def keep(self, judged: Judged, asked: Asked) -> Outcome:
        """Record that the gates kept the champion."""
        return self._record("kept", judged, asked)

    def propose(self, judged: Judged, asked: Asked) -> Outcome:
        """Record that a challenger passed its gates and waits for a person."""
        return self._record("proposed", judged, asked)

    def waiting(self, version: str | None = None) -> Proposal:
        """What waits for a person's word; the version may be left out where only one does.

        Raises:
            RegistryError: it does not wait, or several do.
        """
        state = self.state()
        return state.proposals[_waiting(state, version)]

    def approve(
        self, asked: Asked, version: str | None = None, *, objection: str | None = None
    ) -> Outcome:
        """Promote what waits, by a person's word; raises as `promote` does.

        Args:
            asked: The person and the reason.
            version: Which; may be left out where only one waits.
            objection: What live traffic has against it: it is refused for that, and waits on.
        """
        state = self.state()
        if asked.request in state.requests:
            self.reconcile(asked)
            return self._outcome(state.requests[asked.request])
        waiting = state.proposals[_waiting(state, version)]
        judged = Judged(waiting.version, waiting.digest, waiting.expected)
        asked = replace(asked, person=True)
        return self._promote(
            judged, asked, asked.request, proposal=waiting.number, objection=objection
        )

    def reject(self, asked: Asked, version: str | None = None) -> Outcome:
        """A person's no: the version is not promoted by itself any more.

        Raises:
            RegistryError: it does not wait, several do, or an earlier yes is under way.
        """

        def plan(state: State) -> Draft:
            return planning.rejection(state, _waiting(state, version), asked)

        entry = self._both.append(asked.request, plan)
        self._archive(entry.body["version"])
        return self._outcome(entry.number)

    def rollback(self, asked: Asked, to: str | None = None) -> Outcome:
        """Go back to the last good version, or to an earlier one; works while MLflow is away.

        Raises:
            RegistryError: nothing to go back to, or not to that version.
            PromotionRefused: the version turned out to be unfit, so nothing changed.
        """

        def plan(state: State) -> Draft:
            return planning.rollback(state, asked, to, self._unfit_if_known)

        return self._go_back(asked, plan)

    def demote(
        self, champion: Champion, to: Champion, asked: Asked, found: Mapping[str, Any]
    ) -> Outcome:
        """Go back from a champion that probation found worse; works while MLflow is away.

        Args:
            champion: Who was judged; only if it serves still.
            to: Its predecessor.
            asked: The night, and the finding in a sentence.
            found: The finding in numbers, kept in the ledger.

        Raises:
            PromotionLost: another champion serves by now; nothing is recorded.
            RegistryError: the predecessor cannot serve.
        """

        def plan(state: State) -> Draft:
            return planning.demotion(state, champion, to, asked, found, self._unfit_if_known)

        return self._go_back(asked, plan)

    def _go_back(self, asked: Asked, plan: Callable[[State], Draft]) -> Outcome:
        entry = self._both.append(asked.request, plan)
        try:
            self._both.settle(asked)
        except LedgerError:
            raise
        except RegistryError as error:
            logger.warning("rollback, entry %d: MLflow follows later: %s", entry.number, error)
        return self._outcome(entry.number)

    def prune(self, versions: Mapping[str, str], asked: Asked) -> Entry | None:
        """Record that the files of versions go; whoever deletes them does so after this.

        Nobody goes back to them or promotes them from here on, and nothing that is needed when
        the entry is written is in it.

        Args:
            versions: Version to digest, of what a policy would let go.
            asked: By whom, and by which policy.

        Returns:
            The entry; its body names the versions. None where none of them may go.
        """
        for _ in range(ROUNDS):
            state = self.state()
            draft = planning.pruning(state, versions, asked)
            entry = self._both.attempt(draft, state) if draft else None
            if draft is None or entry is not None:
                return entry
        raise self._both.busy()

    def fence(self, asked: Asked) -> None:
        """Record that a process which fell silent decides nothing more.

        It may sleep between its last question whether it is still its turn and its entry. The
        place that it would write to is taken by this; it reads on, asks again, and hears no.
        """
        self._both.append(asked.request, lambda state: planning.fencing(state, asked))

    def reconcile(self, asked: Asked) -> tuple[str, ...]:
        """Finish or turn back what is unfinished, and mend what was changed by hand.

        Runs first in everything that reads the registry.

        Returns:
            A sentence for each thing that was mended.

        Raises:
            RegistryUnreachable: MLflow is away; asking again goes on from here.
        """
        return self._both.reconcile(asked)

    def audit(self) -> tuple[str, ...]:
        """Everything that is wrong, in sentences; reads all of the ledger, changes nothing."""
        flaws = [str(flaw) for flaw in self.ledger.verify()]
        if flaws:
            return tuple(flaws)
        entries = list(self.ledger.follow())
        try:
            state = decisions.state_of(entries, where=self.ledger.where)
        except LedgerBroken as error:
            return (str(error.flaw),)
        flaws = decisions.checkpoint_flaws(self.ledger, entries)
        try:
            return (*flaws, *self._disagreements(state))
        except RegistryError as error:
            return (*flaws, f"MLflow could not be compared: {error}")

    def _disagreements(self, state: State) -> list[str]:
        pending, champion = state.pending, state.champion
        standing = self.mirror.standing()
        if pending is not None:
            return [f"entry {pending.number} ({pending.action}) is not finished; reconcile"]
        said = []
        if not standing.shows(champion.version if champion else None):
            said.append(f"{standing}, ledger says {planning.named(champion)}; reconcile")
        why = self.unfit(champion.version, champion.digest) if champion else None
        if champion is not None and why is not None:
            said.append(f"v{champion.version} cannot serve: {why}; roll back")
        past = dict.fromkeys((one.version, one.digest) for one in state.past)
        reasons = ((version, self.unfit(version, digest)) for version, digest in past)
        return [*said, *(f"v{one} cannot be gone back to: {why}" for one, why in reasons if why)]

    def _promote(
        self,
        judged: Judged,
        asked: Asked,
        request: str,
        proposal: int | None = None,
        objection: str | None = None,
    ) -> Outcome:
        unfit = self.unfit(judged.version, judged.digest)
        for _ in range(ROUNDS):
            self.reconcile(asked)
            state = self.state()
            if request in state.requests:
                return self._outcome(state.requests[request])
            if state.pending is not None:
                continue
            draft = planning.promotion(
                state, judged, asked, unfit, proposal=proposal, objection=objection
            )
            entry = self._both.attempt(replace(draft, request=draft.request and request), state)
            if entry is not None:
                self._both.settle(asked)
                return self._outcome(entry.number)
        raise self._both.busy()

    def _record(self, kind: Literal["kept", "proposed"], judged: Judged, asked: Asked) -> Outcome:
        def plan(state: State) -> Draft:
            return planning.verdict(kind, state, judged, asked)

        return self._outcome(self._both.append(judged.request(asked), plan).number)

    def _outcome(self, number: int) -> Outcome:
        return outcome_of(self.ledger, number)

    def _unfit_if_known(self, version: str, digest: str) -> str | None:
        """A rollback does not wait until the artifacts can be looked at."""
        try:
            return self.unfit(version, digest)
        except RegistryError as error:
            logger.warning("v%s is not looked at: %s", version, error)
            return None

    def _archive(self, version: str) -> None:
        try:
            if version not in self.mirror.standing().production:
                self.mirror.set_stage(version, ARCHIVED)
        except RegistryError as error:
            logger.warning("v%s stays in Staging in MLflow: %s", version, error)


def _waiting(state: State, version: str | None) -> str:
    waiting = state.proposals
    if version in waiting:
        return str(version)
    if version is None and len(waiting) == 1:
        return next(iter(waiting))
    asked = f"v{version} does not wait" if version else "say which version"
    shown = ", ".join(f"v{one}" for one in waiting) or "none"
    raise RegistryError(f"approval: {asked}; waiting for a person: {shown}")
