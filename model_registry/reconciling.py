"""Ledger and mirror brought together: what is unfinished is finished, what was changed mended.

The mirror is only ever brought to what the ledger wants at that moment: before each step the
ledger is looked at again, so a process that slept through its own promotion stops, and repairs
what its last step may have spoilt. What remains is one call that was already on its way to
MLflow when its process was stopped and then killed; the next `reconcile` sees it and records it
as a change by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from model_registry import decisions, planning
from model_registry.asking import Asked
from model_registry.chain import Draft, Entry
from model_registry.errors import RegistryError
from model_registry.ledger import Ledger
from model_registry.mirror import Mirror, steps
from model_registry.planning import OnHandChange, Unfit, named
from model_registry.state import Pending, State

logger = logging.getLogger(__name__)

ROUNDS = 100  # more lost races in a row than this are no bad luck
ATTEMPTS = 3


class _Moved(Exception):
    """The ledger wants something else by now."""


class Reconciler:
    """A ledger, the mirror that follows it, and how to bring them together.

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
        on_hand_change: OnHandChange,
        still_ours: Callable[[], None],
    ) -> None:
        self.ledger = ledger
        self.mirror = mirror
        self.unfit = unfit
        self.on_hand_change = on_hand_change
        self.still_ours = still_ours

    def state(self) -> State:
        """Where the pipeline stands now, by the ledger."""
        return decisions.read(self.ledger)

    def attempt(self, draft: Draft, state: State) -> Entry | None:
        """Append what was planned on a state, or None where somebody else was first.

        The question comes after the state was read: whoever takes over writes an entry, so that
        a yes that is out of date by now goes with a place that is taken by now.
        """
        self.still_ours()
        entry = self.ledger.append(draft, after=state.head)
        if entry is not None:
            where = f"{self.ledger.name}, entry {entry.number}"
            logger.info("ledger %s: %s: %s", where, entry.kind, entry.why)
            decisions.keep_checkpoint(self.ledger, entry)
        return entry

    def append(self, request: str, plan: Callable[[State], Draft]) -> Entry:
        """The entry that answers a request: the one there is, or a new one."""
        for _ in range(ROUNDS):
            state = self.state()
            entry = (
                self.ledger.entry(state.requests[request])
                if request in state.requests
                else self.attempt(plan(state), state)
            )
            if entry is not None:
                return entry
        raise self.busy()

    def reconcile(self, asked: Asked) -> tuple[str, ...]:
        """Finish or turn back what is unfinished, and mend what was changed by hand.

        Returns:
            A sentence for each thing that was mended.

        Raises:
            RegistryUnreachable: MLflow is away; asking again goes on from here.
        """
        said: list[str] = []
        for _ in range(ROUNDS):
            said += self.settle(asked)
            state = self.state()
            if state.pending is not None:
                continue
            standing = self.mirror.standing()
            draft = planning.repair(state, standing, self.on_hand_change, self.unfit, asked)
            if draft is None:
                return tuple(said)
            self.attempt(draft, state)
        raise self.busy()

    def settle(self, asked: Asked) -> list[str]:
        """Bring the mirror to what the ledger wants, until nothing is pending."""
        said: list[str] = []
        late = False
        for _ in range(ROUNDS):
            state = self.state()
            try:
                if state.pending is not None:
                    sentence = self._advance(state, state.pending, asked)
                    late = late or not sentence
                    said += [sentence] if sentence else []
                    continue
                if late:
                    self._follow(state)
                return said
            except _Moved:
                late = True
        raise self.busy()

    def busy(self) -> RegistryError:
        """That the race for the next entry was lost too often."""
        return RegistryError(
            f"ledger {self.ledger.name}: lost the race for the next entry {ROUNDS} times; see who "
            f"writes to {self.ledger.where} and try again"
        )

    def _advance(self, state: State, pending: Pending, asked: Asked) -> str:
        """One entry further with a pending move; empty where somebody else wrote first."""
        draft = planning.turning_back(pending, self.mirror.standing(), self.unfit, asked)
        if draft is None:
            self._follow(state)
            draft = planning.finished(pending, asked)
        if self.attempt(draft, state) is None:
            return ""
        end = "turned back" if draft.kind == "undone" else "completed"
        what = f"unfinished {pending.action} of {named(pending.target)}"
        return f"{what} (entry {pending.number}, {pending.why}): {end}: {draft.why}"

    def _follow(self, state: State) -> None:
        """Bring the mirror to what a state wants, looking at the ledger before each step."""
        wanted = state.wanted.version if state.wanted else None
        for _ in range(ATTEMPTS):
            standing = self.mirror.standing()
            todo = list(steps(standing, wanted, _tags(state)))
            if not todo:
                return
            for step in todo:
                self._refuse_stale(state)
                step.apply(self.mirror)
        raise RegistryError(
            f"{self.mirror.standing()}, although it was moved to {named(state.wanted)} "
            f"{ATTEMPTS} times; find out who else writes to MLflow, then reconcile again"
        )

    def _refuse_stale(self, state: State) -> None:
        if not self.ledger.has(state.head.number + 1):
            return
        now = self.state()
        if now.pending != state.pending or now.wanted != state.wanted:
            raise _Moved


def _tags(state: State) -> dict[str, str]:
    """What the page shows beside the champion: the entry that put it there, who and why."""
    pending, wanted = state.pending, state.wanted
    tags = {"ledger_entry": str(wanted.since if wanted else 0)}
    if pending is not None and wanted is not None and pending.number == wanted.since:
        tags |= {
            "previous_champion": pending.before.version if pending.before else "none",
            "by": pending.by,
            "reason": pending.why,
        }
    return tags
