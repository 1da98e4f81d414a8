"""Where a pipeline stands after some entries of its ledger: plain values, no reading, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from model_registry.chain import Head
from model_registry.spending import Looks

FORMAT = 1


@dataclass(frozen=True)
class Champion:
    """The version in Production, since one entry; two terms of one version differ.

    Attributes:
        version: The registered version.
        digest: Of its bundle.
        since: Number of the intent that put it there.
    """

    version: str
    digest: str
    since: int


@dataclass(frozen=True)
class Pending:
    """A move that the mirror may not show yet.

    Attributes:
        number: Of its intent.
        action: promote, approve, rollback, adopt or revert.
        target: What the mirror is to show; None for no Production at all.
        before: Champion when it began.
        past: Earlier champions when it began.
        request: What was asked; empty for repairs.
        by: Who asked for it.
        why: The reason.
        undone: Why it was turned back; None while it goes forward.
    """

    number: int
    action: str
    target: Champion | None
    before: Champion | None
    past: tuple[Champion, ...]
    request: str
    by: str
    why: str
    undone: str | None = None


@dataclass(frozen=True)
class Proposal:
    """A challenger that passed its gates and waits for a person."""

    number: int
    version: str
    digest: str
    expected: Champion | None


@dataclass
class State:
    """Everything that the entries up to a head say together.

    Attributes:
        head: The last entry that is in it.
        champion: What is to serve now.
        past: Earlier champions that may be gone back to, oldest first.
        pending: The move that is not finished.
        barred: Version rolled back or rejected, to the entry that says so.
        pruned: Version whose files retention let go, to the entry that says so.
        proposals: Version to what waits for a person.
        requests: What was asked, to the entry that answers it.
        looks: How often which test rows judged.
    """

    head: Head = field(default_factory=Head)
    champion: Champion | None = None
    past: tuple[Champion, ...] = ()
    pending: Pending | None = None
    barred: dict[str, int] = field(default_factory=dict)
    pruned: dict[str, int] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)

    @property
    def wanted(self) -> Champion | None:
        """What the mirror is to show."""
        return self.pending.target if self.pending else self.champion

    @property
    def needed(self) -> dict[str, str]:
        """Version to why it may not be pruned, whatever a policy says."""
        found: dict[str, str] = {}
        for version, proposal in self.proposals.items():
            found[version] = "waits for a person"
            if proposal.expected:
                found[proposal.expected.version] = "a waiting version was judged against it"
        if self.pending:
            moving = (self.pending.target, self.pending.before, *self.pending.past)
            found |= {one.version: "a move is not finished" for one in moving if one}
        if self.past:
            found[self.past[-1].version] = "the previous champion"
        if self.champion:
            found[self.champion.version] = "in Production"
        return found

    def to_json(self) -> dict[str, Any]:
        """The state as plain JSON; the head goes beside it."""
        return {
            "format": FORMAT,
            "champion": _plain(self.champion),
            "past": [_plain(champion) for champion in self.past],
            "pending": _plain(self.pending),
            "barred": self.barred,
            "pruned": self.pruned,
            "proposals": {version: _plain(one) for version, one in self.proposals.items()},
            "requests": self.requests,
            **self.looks.to_json(),
        }

    def copy(self) -> State:
        """The same, to be changed by itself."""
        return replace(
            self,
            barred=dict(self.barred),
            pruned=dict(self.pruned),
            proposals=dict(self.proposals),
            requests=dict(self.requests),
            looks=self.looks.copy(),
        )

    @classmethod
    def from_json(cls, head: Head, content: Mapping[str, Any]) -> State:
        """What `to_json` gave.

        Raises:
            ValueError: it was written in another format.
        """
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        pending = content["pending"]
        if pending is not None:
            champions = {key: champion_of(pending[key]) for key in ("target", "before")}
            pending = Pending(**{**pending, **champions, "past": _champions(pending["past"])})
        return cls(
            head=head,
            champion=champion_of(content["champion"]),
            past=_champions(content["past"]),
            pending=pending,
            barred=dict(content["barred"]),
            pruned=dict(content.get("pruned", {})),  # an older checkpoint has none
            proposals={key: _proposal(value) for key, value in content["proposals"].items()},
            requests=dict(content["requests"]),
            looks=Looks.from_json(content),
        )


def champion_of(content: Mapping[str, Any] | None) -> Champion | None:
    """A champion from plain JSON, or none from null."""
    return None if content is None else Champion(**content)


def _plain(value: Champion | Pending | Proposal | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _champions(content: Iterable[Mapping[str, Any]]) -> tuple[Champion, ...]:
    return tuple(Champion(**one) for one in content)


def _proposal(content: Mapping[str, Any]) -> Proposal:
    return Proposal(**{**content, "expected": champion_of(content["expected"])})
