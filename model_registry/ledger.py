"""The decision ledger: append-only, numbered, hash-chained; the truth about promotions.

An entry is one small JSON object under its number, created only if that number does not exist
yet: one writer wins a number, a loser reads what the winner wrote and decides anew. Each entry
holds the hash of the one before, so nothing that was written can be changed unseen.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Protocol

from model_registry import chain
from model_registry.chain import Draft, Entry, Flaw, Head, LedgerBroken, LedgerError

__all__ = ["Draft", "Entry", "Flaw", "Head", "Ledger", "LedgerBroken", "LedgerError", "Store"]

logger = logging.getLogger(__name__)

DIGITS = 8
_ENTRY = re.compile(rf"\d{{{DIGITS}}}\.json\Z")
_CHECKPOINT = "checkpoint.json"
_START = Head()


class Store(Protocol):
    """What the ledger needs of a store; both of the house's stores are one.

    Attributes:
        uri: Where it is, for people.
    """

    uri: str

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Store bytes, whole or not at all; with `if_absent` one writer of a key wins."""

    def get(self, key: str) -> bytes:
        """The bytes under a key; raises where there are none."""

    def exists(self, key: str) -> bool:
        """Whether something stands under the key."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""

    def honours_conditional_writes(self) -> bool:
        """Whether `if_absent` lets one writer win."""


class Ledger:
    """The entries of one pipeline in a store.

    Args:
        store: Must honour conditional writes; asked before the first append.
        name: The pipeline's.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.prefix = f"ledger/{name}/"
        self._honest = False

    def append(self, draft: Draft, *, after: Head) -> Entry | None:
        """Write the entry after a head, or None where somebody else was there first.

        A write that fails is settled by what stands in its place, so that an answer lost on the
        way neither loses the entry nor writes it twice.

        Raises:
            LedgerError: the draft is no small plain JSON, or the store lets two writers win.
        """
        entry = chain.numbered(draft, after)
        data = chain.bytes_of(entry)
        self._refuse_unconditional()
        return entry if self._create(self._key(entry.number), data) else None

    def entry(self, number: int) -> Entry | None:
        """One entry, or None where there is none.

        Raises:
            LedgerBroken: it was edited.
        """
        data = self._read(self._key(number))
        if data is None:
            return None
        entry, flaw = chain.parsed(number, data)
        self._refuse(flaw)
        return entry

    def has(self, number: int) -> bool:
        """Whether an entry of this number exists; cheaper than reading it."""
        return self.store.exists(self._key(number))

    def follow(self, after: Head = _START) -> Iterator[Entry]:
        """The entries after a head, each checked against the one before.

        Raises:
            LedgerBroken: at the first entry that does not hold.
        """
        head = after
        while True:
            entry = self.entry(head.number + 1)
            if entry is not None:
                self._refuse(chain.broken_link(head, entry))
                yield entry
                head = entry.head
                continue
            last = 0 if after.number else max(self._numbers(), default=0)
            if last <= head.number:
                return
            if not self.has(head.number + 1):
                self._refuse(chain.gap(head.number + 1, last))

    def verify(self) -> tuple[Flaw, ...]:
        """Everything that is wrong with the chain; reads all of it and changes nothing."""
        flaws: list[Flaw | None] = []
        head = Head()
        for number in sorted(self._numbers()):
            if number != head.number + 1:
                flaws.append(chain.gap(head.number + 1, number))
                head = Head(number - 1, "")
            entry, flaw = chain.parsed(number, self.store.get(self._key(number)))
            flaws += [flaw, chain.broken_link(head, entry) if entry else None]
            head = Head(number, entry.hash if entry else "")
        flaws += [*self._strangers(), self._checkpoint_flaw()]
        return tuple(flaw for flaw in flaws if flaw)

    def checkpoint(self) -> tuple[Head, Any] | None:
        """What was kept last, if the entry it rests on is still that entry.

        Raises:
            LedgerBroken: that entry is gone.
        """
        found = self._checkpoint()
        if found is None:
            return None
        head, _ = found
        entry = self.entry(head.number)
        if entry is None:
            raise LedgerBroken(chain.cut_off(head.number), self.where)
        if entry.hash != head.hash:
            logger.warning("ledger %s: the checkpoint is of another history", self.prefix)
            return None
        return found

    def keep_checkpoint(self, head: Head, state: Any) -> None:
        """Keep what follows from all entries up to a head, so that readers start there."""
        content = {"number": head.number, "hash": head.hash, "state": state}
        data = chain.encoded({**content, "digest": chain.digest(content)})
        self.store.put(self.prefix + _CHECKPOINT, data)

    @property
    def where(self) -> str:
        """Where the entries are, for people."""
        return f"{self.store.uri}/{self.prefix}"

    def _checkpoint(self) -> tuple[Head, Any] | None:
        data = self._read(self.prefix + _CHECKPOINT)
        if data is None:
            return None
        try:
            content = json.loads(data)
            if content.pop("digest") == chain.digest(content):
                return Head(content["number"], content["hash"]), content["state"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        logger.warning("ledger %s: the checkpoint was edited and is ignored", self.prefix)
        return None

    def _checkpoint_flaw(self) -> Flaw | None:
        found = self._checkpoint()
        if found is None:
            damaged = self.store.exists(self.prefix + _CHECKPOINT)
            detail = f"{_CHECKPOINT} was edited; delete it, it is written again"
            return Flaw(0, "checkpoint", detail) if damaged else None
        head, _ = found
        data = self._read(self._key(head.number))
        if data is None:
            return chain.cut_off(head.number)
        entry, _ = chain.parsed(head.number, data)
        if entry is None or entry.hash == head.hash:
            return None
        detail = f"entry {head.number} is not the one that the checkpoint saw: it was replaced"
        return Flaw(head.number, "checkpoint", detail)

    def _names(self) -> Iterator[str]:
        return (key.removeprefix(self.prefix) for key in self.store.keys(self.prefix))

    def _numbers(self) -> Iterator[int]:
        return (int(name[:DIGITS]) for name in self._names() if _ENTRY.match(name))

    def _strangers(self) -> Iterator[Flaw]:
        for name in self._names():
            if not _ENTRY.match(name) and name != _CHECKPOINT:
                yield Flaw(0, "stranger", f"{self.prefix}{name} is no part of a ledger")

    def _key(self, number: int) -> str:
        return f"{self.prefix}{number:0{DIGITS}d}.json"

    def _create(self, key: str, data: bytes) -> bool:
        try:
            self.store.put(key, data, if_absent=True)
        except Exception:
            standing = self._read(key)
            if standing is None:
                raise
            return standing == data
        return True

    def _read(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except Exception:
            if not self.store.exists(key):
                return None
        return self.store.get(key)  # it came to be between the two questions

    def _refuse(self, flaw: Flaw | None) -> None:
        if flaw is not None:
            raise LedgerBroken(flaw, self.where)

    def _refuse_unconditional(self) -> None:
        if not self._honest and not self.store.honours_conditional_writes():
            raise LedgerError(
                f"ledger in {self.store.uri}: the store lets two writers win the same key; use a "
                "local folder, or a service that honours If-None-Match"
            )
        self._honest = True
