"""Why a version serves, or does not: one version's story from the ledger, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from model_registry.chain import Entry
from model_registry.decisions import state_of
from model_registry.errors import RegistryError
from model_registry.history import Decision, decisions_in
from model_registry.state import State
from model_registry.words import counted

SHOWN = 12  # characters of a digest


@dataclass(frozen=True)
class Explanation:
    """One version's story.

    Attributes:
        version: The version.
        stands: Where it stands now, in a sentence.
        decisions: All that were made about it, oldest first.
        facts: What the judgement of it rests on; empty where a person alone decided.
        looks: Which decision on the same test rows that was, from 1.
        first_look: When the first of them was made, in words; empty where this is the first.
        afterwards: Later decisions about who serves.
        live: What it did as the champion's shadow; empty where it was none.
    """

    version: str
    stands: str
    decisions: tuple[Decision, ...]
    facts: Mapping[str, Any]
    looks: int
    afterwards: tuple[Decision, ...]
    live: str = ""
    first_look: str = ""

    def sentences(self) -> Iterator[str]:
        """The story, line by line."""
        yield f"v{self.version}: {self.stands}"
        for one in self.decisions:
            yield f"{told(one)}"
        yield from _judged(self.facts, self.looks, self.first_look)
        if self.live:
            yield f"beside the champion on live rows: {self.live}"
        if self.afterwards:
            yield "afterwards:"
        for one in self.afterwards:
            yield f"  {told(one)}"

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**asdict(self), "sentences": list(self.sentences())}


def explain(entries: Sequence[Entry], version: str | None = None) -> Explanation:
    """The story of a version; without one, of the champion or of the last one decided about.

    Raises:
        RegistryError: no decision was made, or none about this version.
    """
    state, made = state_of(entries), decisions_in(entries)
    if version is None:
        last = next((one.version for one in reversed(made) if one.version), None)
        version = state.champion.version if state.champion else last
    about = [one for one in made if version is not None and one.version == version]
    about = about or [one for one in made if one.number == state.pruned.get(version or "")]
    if version is None or not about:
        known = ", ".join(f"v{one}" for one in dict.fromkeys(d.version for d in made if d.version))
        asked = f"about v{version}" if version else "at all"
        raise RegistryError(f"no decision {asked} is in the ledger; there are: {known or 'none'}")
    judged = [entry for entry in entries if _facts(entry) and entry.body["version"] == version]
    facts = _facts(judged[-1]) if judged else {}
    looks = _looks(entries, judged[-1]) if judged else []
    return Explanation(
        version,
        _stands(state, version, made),
        tuple(about),
        facts,
        len(looks),
        tuple(one for one in made if one.number > about[-1].number and one.before != one.after),
        first_look=_first_look(looks),
    )


def told(decision: Decision) -> str:
    """One decision as a line."""
    moved = ""
    if decision.before != decision.after:
        moved = f", {_named(decision.before)} → {_named(decision.after)}"
    at = f"{decision.at[:16].replace('T', ' ')} UTC"
    return f"entry {decision.number}, {at}: {decision.kind}{moved}, by {decision.by}: " + (
        decision.why
    )


def _stands(state: State, version: str, made: Sequence[Decision]) -> str:
    pending, champion = state.pending, state.champion
    if champion is not None and champion.version == version:
        term = next(one for one in made if one.number == champion.since)
        at = f"{term.at[:16].replace('T', ' ')} UTC"
        return f"in Production since {at} (entry {term.number}); it replaced {_named(term.before)}"
    if pending is not None and pending.target and pending.target.version == version:
        return f"on its way into Production (entry {pending.number}); `nocturne reconcile` ends it"
    if version in state.proposals:
        entry = state.proposals[version].number
        return f"waits for `nocturne approve` or `nocturne reject` (entry {entry})"
    if version in state.pruned:
        entry = state.pruned[version]
        return f"not in Production; retention let its files go (entry {entry}), the record stays"
    if version in state.barred:
        entry = state.barred[version]
        demoted = any(d.number == entry and d.kind.startswith("demoted") for d in made)
        how = "demoted by probation" if demoted else "rolled back or rejected"
        return f"{how} (entry {entry}); only a person may promote it again"
    before = any(one.version == version for one in state.past)
    may = "was in Production before; `nocturne rollback` may go back to it"
    return may if before else "not in Production"


def _judged(facts: Mapping[str, Any], looks: int, first_look: str) -> Iterator[str]:
    """What the judgement rests on."""
    if not facts:
        return
    metrics = facts["metrics"]
    ours, theirs, apart = (metrics.get(k, {}) for k in ("challenger", "champion", "difference"))
    if ours:
        yield "on the test rows, with intervals:"
    for name, (value, low, high) in ours.items():
        line = f"  {name}: {value:.4f} [{low:.4f}, {high:.4f}]"
        if name in theirs:
            line += " against {:.4f} [{:.4f}, {:.4f}] of the champion".format(*theirs[name])
        if name in apart:
            line += "; difference {:+.4f} [{:+.4f}, {:+.4f}]".format(*apart[name])
        yield line
    yield "gates:"
    for gate in facts["gates"]:
        yield f"  {'✓' if gate['passed'] else '✗'} {gate['gate']}: {gate['sentence']}"
    digests = ", ".join(f"{name} {value[:SHOWN]}" for name, value in facts["digests"].items())
    yield f"rests on: {digests}; decision {looks} on these test rows{first_look}"
    seeds = ", ".join(f"{name} {seed}" for name, seed in facts["seeds"].items())
    links = ", ".join(f"{name} {link}" for name, link in facts["links"].items())
    yield f"night {facts['logical_date']}; seeds: {seeds}; look further: {links}"


def _looks(entries: Sequence[Entry], at: Entry) -> list[Entry]:
    """The decisions on the same test rows up to this one, oldest first."""
    test = _facts(at).get("digests", {}).get("test")
    before = [entry for entry in entries if entry.number <= at.number]
    judged = [entry for entry in before if _facts(entry).get("gates")]
    return [entry for entry in judged if _facts(entry)["digests"].get("test") == test]


def _first_look(looks: Sequence[Entry]) -> str:
    """How long the test rows have judged: `, the first on 2026-04-01, 12 days before`."""
    if len(looks) < 2:
        return ""
    first, last = (date.fromisoformat(entry.at[:10]) for entry in (looks[0], looks[-1]))
    return f", the first on {first}, {counted((last - first).days, 'day')} before"


def _facts(entry: Entry) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = entry.body.get("facts") or {}
    return facts


def _named(version: str | None) -> str:
    return f"v{version}" if version else "no version"
