"""What holds after any fault, as one list of violations that every fault test asks for."""

from collections import Counter
from collections.abc import Callable, Iterable

from model_registry import decisions
from model_registry.ledger import Entry, Ledger
from model_registry.mirror import Mirror
from model_registry.outcomes import Outcome, outcome_of
from model_registry.state import State

Unfit = Callable[[str, str], str | None]


def violations(
    ledger: Ledger, mirror: Mirror, unfit: Unfit, acknowledged: Iterable[Outcome] = ()
) -> list[str]:
    """Everything about promotions that a fault broke; call it after `reconcile`.

    Args:
        ledger: The truth.
        mirror: What must show the same.
        unfit: Why a version with a digest cannot serve, or None.
        acknowledged: Every outcome that somebody was told.
    """
    flaws = [f"I2: {flaw}" for flaw in ledger.verify()]
    if flaws:
        return flaws
    entries = list(ledger.follow())
    state = decisions.state_of(entries)
    return [
        *_one_production(state, mirror, unfit),
        *_written_once(entries),
        *(line for told in acknowledged for line in _recorded(ledger, told)),
        *_barred_stays_out(entries),
        *_old_bytes(state, unfit),
        *(f"I2: {flaw}" for flaw in decisions.checkpoint_flaws(ledger, entries)),
    ]


def _one_production(state: State, mirror: Mirror, unfit: Unfit) -> list[str]:
    standing, champion = mirror.standing(), state.champion
    said = []
    if state.pending is not None:
        said.append(f"I1: entry {state.pending.number} is not finished")
    if not standing.shows(champion.version if champion else None):
        said.append(f"I1: {standing}, the ledger says {champion}")
    if champion is not None and (why := unfit(champion.version, champion.digest)):
        said.append(f"I1: {champion} does not load: {why}")
    return said


def _written_once(entries: list[Entry]) -> list[str]:
    closed = Counter(entry.body["about"] for entry in entries if entry.kind == "done")
    turned = {entry.body["about"] for entry in entries if entry.kind == "undone"}
    asked = Counter(e.request for e in entries if e.request and e.number not in turned)
    return [
        *(f"I2: entry {number} is done {n} times" for number, n in closed.items() if n > 1),
        *(f"I2: {request!r} was decided {n} times" for request, n in asked.items() if n > 1),
    ]


def _recorded(ledger: Ledger, told: Outcome) -> list[str]:
    try:
        found = outcome_of(ledger, told.number)
    except Exception as error:
        return [f"I2: told {told}, the ledger says {error}"]
    if (found.kind, found.version) != (told.kind, told.version) or (told.applied > found.applied):
        return [f"I2: told {told}, the ledger says {found}"]
    return []


def _barred_stays_out(entries: list[Entry]) -> list[str]:
    state, said = decisions.state_of([]), []
    for entry in entries:
        moves = entry.kind == "intent" and entry.body["action"] not in ("revert", "rollback")
        if moves and entry.body["version"] in state.barred and not entry.body.get("person"):
            said.append(f"entry {entry.number} brings back v{entry.body['version']}, barred")
        state = decisions.state_of([entry], state)
    return said


def _old_bytes(state: State, unfit: Unfit) -> list[str]:
    reasons = ((one, unfit(one.version, one.digest)) for one in state.past)
    return [f"I4: v{one.version} changed: {why}" for one, why in reasons if why]
