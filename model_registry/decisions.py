"""What follows from the ledger's entries: who is champion, what is unfinished, what is barred.

`state_of` is a pure fold over entries; `read` starts it at the ledger's checkpoint, so that it
costs a few reads however long the ledger is.

The kinds of entries: *intent* (promote, approve, rollback, adopt or revert: begins a move),
*undone* (turns a move back), *done* (the mirror shows what the ledger wants), and, complete in
themselves, *kept*, *refused*, *proposed*, *rejected*, *fenced* (a process that fell silent
decides nothing more) and *pruned* (retention lets the files of versions go, none of them needed;
whatever is deleted is deleted after this entry). A rollback counts from its intent on, so that
it works while the mirror is away; every other move counts once it is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from model_registry.chain import Entry, Flaw, LedgerBroken
from model_registry.ledger import Ledger
from model_registry.state import Champion, Pending, Proposal, State, champion_of

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY = 8
PROMOTE, APPROVE, ROLLBACK, ADOPT, REVERT = "promote", "approve", "rollback", "adopt", "revert"


def read(ledger: Ledger) -> State:
    """The state now, from the checkpoint on.

    Raises:
        LedgerBroken: the chain does not hold, or its entries contradict each other.
    """
    start = State()
    kept = ledger.checkpoint()
    if kept is not None:
        try:
            start = State.from_json(*kept)
        except (KeyError, TypeError, ValueError):
            logger.warning("ledger %s: the checkpoint is of another version", ledger.name)
    return state_of(ledger.follow(start.head), start, where=ledger.where)


def keep_checkpoint(ledger: Ledger, entry: Entry) -> None:
    """Every few entries, keep the state; the entry counts whether this works or not."""
    if entry.number % CHECKPOINT_EVERY:
        return
    try:
        state = read(ledger)
        ledger.keep_checkpoint(state.head, state.to_json())
    except Exception as error:
        logger.warning("ledger %s: no checkpoint: %s", ledger.name, error)


def checkpoint_flaws(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Whether the checkpoint says what the entries say; `entries` are all there are."""
    kept = ledger.checkpoint()
    if kept is None:
        return []
    head, content = kept
    try:
        if state_of(entries[: head.number], where=ledger.where) == State.from_json(head, content):
            return []
    except (KeyError, TypeError, ValueError):
        pass
    return [f"the checkpoint of entry {head.number} contradicts the entries; delete it"]


def state_of(
    entries: Iterable[Entry], start: State | None = None, *, where: str = "entries"
) -> State:
    """The state after some entries of a ledger that lies somewhere; `start` stays as it is.

    Raises:
        LedgerBroken: an entry that cannot follow on those before it.
    """
    state = State() if start is None else start.copy()
    for entry in entries:
        try:
            _FOLD[entry.kind](state, entry)
            _count(state, entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = f"entry {entry.number} ({entry.kind}) cannot follow: {error}"
            raise LedgerBroken(Flaw(entry.number, "order", detail), where) from None
        state.head = entry.head
    return state


def fate(number: int, later: Iterable[Entry]) -> tuple[str, str]:
    """What became of an intent, by the entries after it.

    Returns:
        `("done", "")`, `("undone", reason)`, `("superseded", reason)` or `("open", "")`.
    """
    for entry in later:
        if entry.kind in ("done", "undone") and entry.body["about"] == number:
            return entry.kind, entry.why if entry.kind == "undone" else ""
        if entry.kind == "intent":
            return "superseded", entry.why
    return "open", ""


def _intent(state: State, entry: Entry) -> None:
    body = entry.body
    action = body["action"]
    if action not in _MOVES and action != REVERT:
        raise ValueError(f"no such action: {action!r}")
    if state.pending is not None and action != ROLLBACK:
        raise ValueError(f"entry {state.pending.number} is not finished")
    if body["before"] != (state.champion.version if state.champion else None):
        raise ValueError(f"it replaces {body['before']!r}, the champion is {state.champion}")
    if action != REVERT and body["version"] in state.pruned:
        raise ValueError(f"entry {state.pruned[body['version']]} pruned v{body['version']}")
    if action == REVERT:
        target = state.champion
    else:
        target = Champion(body["version"], body["digest"], entry.number)
    interrupted = state.pending
    state.pending = Pending(
        entry.number,
        action,
        target,
        state.champion,
        state.past,
        entry.request,
        entry.by,
        entry.why,
    )
    if action == ROLLBACK:
        _move(state)
        if interrupted and interrupted.target and interrupted.target.version != body["version"]:
            state.barred[interrupted.target.version] = entry.number


def _undone(state: State, entry: Entry) -> None:
    pending = _pending(state, entry)
    if pending.undone is not None or pending.action == REVERT:
        raise ValueError("it was turned back before, or is none that can be")
    if pending.action == ROLLBACK and pending.before is not None:
        state.champion, state.past = pending.before, pending.past
        state.barred.pop(pending.before.version, None)
    state.requests.pop(pending.request, None)  # it may be asked again
    state.pending = replace(pending, target=pending.before, undone=entry.why)


def _done(state: State, entry: Entry) -> None:
    pending = _pending(state, entry)
    if pending.undone is None and pending.action != ROLLBACK:
        _move(state)
    state.pending = None


def _proposed(state: State, entry: Entry) -> None:
    body = entry.body
    proposal = Proposal(
        entry.number, body["version"], body["digest"], champion_of(body["expected"])
    )
    state.proposals[proposal.version] = proposal


def _rejected(state: State, entry: Entry) -> None:
    del state.proposals[entry.body["version"]]
    state.barred[entry.body["version"]] = entry.number


def _refused(state: State, entry: Entry) -> None:
    if entry.body["rule"] == "lost":
        state.proposals.pop(entry.body["version"], None)


def _kept(state: State, entry: Entry) -> None:
    """The champion stays; only the look at the test set counts."""


def _fenced(state: State, entry: Entry) -> None:
    """Nothing changes but the head, which is what it is for."""


def _pruned(state: State, entry: Entry) -> None:
    gone = dict.fromkeys(entry.body["versions"], entry.number)
    for version in sorted(gone.keys() & state.needed.keys()):
        raise ValueError(f"v{version} is pruned and needed: {state.needed[version]}")
    state.past = tuple(one for one in state.past if one.version not in gone)
    state.pruned |= gone


_FOLD: dict[str, Callable[[State, Entry], None]] = {
    "intent": _intent,
    "undone": _undone,
    "done": _done,
    "proposed": _proposed,
    "rejected": _rejected,
    "refused": _refused,
    "kept": _kept,
    "fenced": _fenced,
    "pruned": _pruned,
}


def _move(state: State) -> None:
    """Let the pending move count."""
    pending = state.pending
    target = pending.target if pending else None
    if pending is None or target is None or pending.action == REVERT:
        return
    _MOVES[pending.action](state, target)
    state.champion = target
    state.barred.pop(target.version, None)
    state.proposals.pop(target.version, None)


def _forward(state: State, target: Champion) -> None:
    if state.champion is not None and state.champion.version != target.version:
        state.past += (state.champion,)


def _back(state: State, target: Champion) -> None:
    """Whoever leaves is barred; nobody who came after the target is gone back to."""
    if state.champion is None or state.champion.version == target.version:
        return
    state.barred[state.champion.version] = target.since
    versions = [champion.version for champion in state.past]
    if target.version in versions:
        last = len(versions) - 1 - versions[::-1].index(target.version)
        state.past = state.past[:last]


def _by_hand(state: State, target: Champion) -> None:
    """Somebody put a version there: an earlier champion means going back."""
    earlier = any(champion.version == target.version for champion in state.past)
    (_back if earlier else _forward)(state, target)


_MOVES: dict[str, Callable[[State, Champion], None]] = {
    PROMOTE: _forward,
    APPROVE: _forward,
    ROLLBACK: _back,
    ADOPT: _by_hand,
}


def _count(state: State, entry: Entry) -> None:
    if entry.request:
        if entry.request in state.requests:
            first = state.requests[entry.request]
            raise ValueError(f"{entry.request!r} was answered by entry {first}")
        state.requests[entry.request] = entry.number
    facts = entry.body.get("facts") or {}
    test = (facts.get("digests") or {}).get("test")
    compared = entry.body.get("before") is not None  # a first version is compared with nobody
    if test and facts.get("gates") and compared:
        state.looks.count(test, facts.get("test_sketch", ""), entry.at[:10])


def _pending(state: State, entry: Entry) -> Pending:
    if state.pending is None or state.pending.number != entry.body["about"]:
        raise ValueError(f"entry {entry.body['about']} is not what is unfinished")
    return state.pending
