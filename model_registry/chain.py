"""Entries of the decision ledger: their one encoding, their hashes, and what can be wrong.

LedgerError (RegistryError): what was asked cannot be written or read
└── LedgerBroken: the chain does not hold; nothing is decided on it until a person has looked
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

from model_registry.errors import RegistryError

BEGINNING = "0" * 64  # what the first entry names as the hash of the one before
LARGEST_BYTES = 1 << 20


class LedgerError(RegistryError):
    """An entry cannot be written or read; the message says what to do."""


class LedgerBroken(LedgerError):
    """The chain does not hold: an entry is missing, edited or out of its place."""

    def __init__(self, flaw: Flaw, where: str) -> None:
        self.flaw = flaw
        super().__init__(
            f"ledger {where}: {flaw}; nothing is decided on it: look with `nocturne verify` and "
            "restore the entry from a backup"
        )


class Head(NamedTuple):
    """The last entry that was read: what the next one is appended to."""

    number: int = 0
    hash: str = BEGINNING


@dataclass(frozen=True)
class Draft:
    """An entry before it has a number.

    Attributes:
        kind: What happened: intent, done, undone, kept, refused, proposed, rejected, fenced or
            pruned.
        at: When it was decided, with its time zone.
        by: Who asked: a night, or a person's name.
        why: The reason, in one sentence.
        body: The facts of this kind, as `plain` accepts them.
        request: Names what was asked, so that asking again finds the answer; empty for the
            steps that follow from an earlier entry.
    """

    kind: str
    at: datetime
    by: str
    why: str
    body: Mapping[str, Any] = field(default_factory=dict)
    request: str = ""


@dataclass(frozen=True)
class Entry:
    """One decision as it was written: the fields of a draft, its place and its chain.

    Attributes:
        number: From 1, without gaps.
        previous: Hash of the entry before.
        hash: sha256 over everything else in the entry.
        token: Drawn at random: tells one writer's entry from another's.
        at: UTC, ISO 8601.
    """

    number: int
    previous: str
    hash: str
    token: str
    kind: str
    at: str
    by: str
    why: str
    request: str
    body: Mapping[str, Any]

    @property
    def head(self) -> Head:
        """This entry as what the next one is appended to."""
        return Head(self.number, self.hash)


@dataclass(frozen=True)
class Flaw:
    """Something wrong with a ledger, and exactly where.

    Attributes:
        number: Of the entry; 0 for what lies beside the entries.
        rule: missing, unreadable, edited, misplaced, chain, cut, checkpoint, stranger or order.
        detail: What was expected and what was found.
    """

    number: int
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


def numbered(draft: Draft, after: Head) -> Entry:
    """A draft as the entry that follows on a head.

    Raises:
        LedgerError: a time without its zone, or a body that is no plain JSON.
    """
    if draft.at.tzinfo is None:
        raise LedgerError(f"ledger entry: time {draft.at.isoformat()} has no zone; give UTC")
    content = {
        "number": after.number + 1,
        "previous": after.hash,
        "token": secrets.token_hex(8),
        "kind": draft.kind,
        "at": draft.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "by": draft.by,
        "why": draft.why,
        "request": draft.request,
        "body": plain(draft.body),
    }
    return Entry(**content, hash=digest(content))


def bytes_of(entry: Entry) -> bytes:
    """What is stored of an entry.

    Raises:
        LedgerError: more than an entry may hold.
    """
    data = encoded(asdict(entry))
    if len(data) > LARGEST_BYTES:
        raise LedgerError(
            f"ledger entry {entry.number} ({entry.kind}): {len(data)} bytes, at most "
            f"{LARGEST_BYTES}; record digests and numbers, not data"
        )
    return data


def parsed(number: int, data: bytes) -> tuple[Entry | None, Flaw | None]:
    """An entry from what stands under its number, or what is wrong with it."""
    try:
        content = json.loads(data)
        entry = Entry(**content)
        own = digest({key: value for key, value in content.items() if key != "hash"})
        canonical = encoded(content) == data
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return None, Flaw(number, "unreadable", f"entry {number} is no ledger entry: {error}")
    kinds = {"number": int, "body": dict}
    if any(not isinstance(content[f.name], kinds.get(f.name, str)) for f in fields(Entry)):
        return None, Flaw(number, "unreadable", f"entry {number} has a field of another type")
    if own != entry.hash or not canonical:
        detail = f"entry {number} was edited: its content has hash {own}, it says {entry.hash}"
        return entry, Flaw(number, "edited", detail)
    if entry.number != number:
        detail = f"entry {entry.number} lies in the place of entry {number}"
        return entry, Flaw(number, "misplaced", detail)
    return entry, None


def broken_link(head: Head, entry: Entry) -> Flaw | None:
    """What is wrong where an entry should follow on a head; a head without hash is not known."""
    if not head.hash or entry.previous == head.hash:
        return None
    before = f"entry {head.number}" if head.number else "the beginning"
    detail = f"entry {entry.number} follows {entry.previous}, but {before} has hash {head.hash}"
    return Flaw(entry.number, "chain", f"{detail}: one of the two was replaced")


def gap(number: int, upto: int) -> Flaw:
    """The entries from a number up to one that exists are not there."""
    which = f"entry {number} is" if number == upto - 1 else f"entries {number} to {upto - 1} are"
    return Flaw(number, "missing", f"{which} missing, but entry {upto} exists")


def cut_off(number: int) -> Flaw:
    """An entry that a checkpoint rests on is not there."""
    detail = f"the checkpoint saw entry {number}, which is gone: the ledger's end was cut off"
    return Flaw(number, "cut", detail)


def encoded(content: Mapping[str, Any]) -> bytes:
    """The one encoding of a content: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(content: Mapping[str, Any]) -> str:
    """sha256 of a content, by its one encoding."""
    return hashlib.sha256(encoded(content)).hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON holds it; numbers that are not finite become the texts nan, inf and -inf.

    Raises:
        LedgerError: something else than text, numbers, lists and mappings with text keys.
    """
    if hasattr(value, "item") and not getattr(value, "ndim", 0):
        value = value.item()  # a number of NumPy's
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise LedgerError(
        f"ledger entry: cannot hold {type(value).__name__} ({value!r:.80}); record text, numbers, "
        "lists, and mappings with text keys"
    )
