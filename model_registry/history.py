"""The ledger told to people: pure functions from entries to decisions in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_registry.chain import Entry
from model_registry.decisions import ADOPT, APPROVE, PROMOTE, REVERT, ROLLBACK, fate

DONE = {
    PROMOTE: "promoted",
    APPROVE: "approved",
    ROLLBACK: "rolled back",
    ADOPT: "adopted",
    REVERT: "reverted",
}
STEPS = ("done", "undone")  # parts of a move, told with its intent


@dataclass(frozen=True)
class Decision:
    """One decision, and what became of it.

    Attributes:
        number: The entry that decides it.
        at: UTC, ISO 8601.
        kind: What happened, in a word or two.
        version: What it is about; None where nothing is to serve.
        before: Champion before it.
        after: Champion after it.
        by: Who asked.
        why: The reason, and why it was turned back where it was.
    """

    number: int
    at: str
    kind: str
    version: str | None
    before: str | None
    after: str | None
    by: str
    why: str


def decisions_in(entries: Sequence[Entry]) -> list[Decision]:
    """All decisions of a ledger, oldest first; the steps of a move are one decision."""
    return [
        _move(entry, entries[position + 1 :]) if entry.kind == "intent" else _decided(entry)
        for position, entry in enumerate(entries)
        if entry.kind not in STEPS
    ]


def _decided(entry: Entry) -> Decision:
    body = entry.body
    kind = f"refused: {body['rule']}" if entry.kind == "refused" else entry.kind
    moved = (body["version"], body["before"], body["after"])
    return Decision(entry.number, entry.at, kind, *moved, entry.by, entry.why)


def _move(entry: Entry, later: Sequence[Entry]) -> Decision:
    body, (end, said) = entry.body, fate(entry.number, later)
    kind, why, after = DONE[body["action"]], entry.why, body["after"]
    kind = "demoted by probation" if body.get("probation") else kind
    if end == "undone":
        kind, why, after = f"{body['action']} turned back", f"{why}; but {said}", body["before"]
    elif end == "superseded" and body["action"] != ROLLBACK:
        kind, after = f"{body['action']} cancelled", body["before"]
    elif end == "open":
        kind = f"{kind}, MLflow follows" if body["action"] == ROLLBACK else f"{kind}, unfinished"
    moved = (body["version"], body["before"], after)
    return Decision(entry.number, entry.at, kind, *moved, entry.by, why)
