"""What to write next: pure functions from a state and a request to a draft of an entry.

A draft is only worth something after the head it was planned on. Whoever loses the race for
the next number reads what the winner wrote and plans again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from model_registry.asking import Asked, Judged
from model_registry.chain import Draft
from model_registry.decisions import ADOPT, APPROVE, PROMOTE, REVERT, ROLLBACK
from model_registry.errors import PromotionLost, RegistryError
from model_registry.mirror import Standing
from model_registry.state import Champion, Pending, State

OnHandChange = Literal["adopt", "revert"]
Unfit = Callable[[str, str], str | None]


def promotion(
    state: State,
    judged: Judged,
    asked: Asked,
    unfit: str | None,
    *,
    proposal: int | None = None,
    objection: str | None = None,
) -> Draft:
    """An intent to promote, or a refusal that says which rule forbids it.

    Args:
        state: Where nothing is pending.
        judged: What is to be promoted.
        asked: Who wants it.
        unfit: Why the bundle cannot serve; None where it can.
        proposal: The entry that a person approves with this.
        objection: What live traffic has against it; None where nothing.
    """
    found, expected = state.champion, judged.expected
    if found != expected:
        why = f"promotion lost to {named(found)}, expected {named(expected)} in Production"
        return _refusal(state, judged, asked, "lost", why)
    if judged.version in state.barred and not asked.person:
        why = (
            f"v{judged.version} was rolled back or rejected in entry "
            f"{state.barred[judged.version]}; only a person may promote it again"
        )
        return _refusal(state, judged, asked, "barred", why)
    if found is not None and found.version == judged.version:
        return _refusal(state, judged, asked, "same", f"{named(found)} is in Production already")
    if judged.version in state.pruned:
        unfit = f"v{judged.version} was pruned in entry {state.pruned[judged.version]}"
    if unfit is not None:
        return _refusal(state, judged, asked, "unfit", f"{unfit}, kept {named(found)}")
    if objection is not None:
        return _refusal(state, judged, asked, "shadow", f"{objection}, kept {named(found)}")
    return _drafted("intent", state, judged, asked, _move(judged, proposal))


def verdict(kind: Literal["kept", "proposed"], state: State, judged: Judged, asked: Asked) -> Draft:
    """A verdict that moves nothing: the champion is kept, or a person is asked.

    About the champion itself nobody is asked: it stays.
    """
    same = state.champion is not None and state.champion.version == judged.version
    kind = "kept" if same else kind
    expected = asdict(judged.expected) if judged.expected else None
    return _drafted(kind, state, judged, asked, {"digest": judged.digest, "expected": expected})


def rejection(state: State, version: str, asked: Asked) -> Draft:
    """A person's no to what waits.

    Raises:
        RegistryError: an earlier yes is under way; whoever comes next would finish it.
    """
    pending = state.pending
    if pending is not None and pending.target and pending.target.version == version:
        raise RegistryError(
            f"reject v{version}: entry {pending.number} ({pending.action} by {pending.by}) already "
            "brings it into Production; `nocturne rollback` turns that back"
        )
    judged = Judged(version, state.proposals[version].digest, state.champion)
    body = {"about": state.proposals[version].number}
    return replace(_drafted("rejected", state, judged, asked, body), request=asked.request)


def pruning(state: State, versions: Mapping[str, str], asked: Asked) -> Draft | None:
    """That the files of versions go; None where none of them may.

    Args:
        state: Where the pipeline stands.
        versions: Version to digest, of what a policy would let go.
        asked: By whom, and by which policy.
    """
    held = {**state.needed, **state.pruned}
    gone = {version: digest for version, digest in versions.items() if version not in held}
    if state.pending is not None or not gone:
        return None
    named_ = ", ".join(f"v{version}" for version in gone)
    before = _version(state.champion)
    body = {"version": None, "before": before, "after": before, "versions": gone}
    return Draft("pruned", asked.at, asked.by, f"{asked.why}: {named_}", body)


def fencing(state: State, asked: Asked) -> Draft:
    """That what somebody planned before this is not to be appended any more."""
    before = _version(state.champion)
    body = {"version": None, "before": before, "after": before}
    return Draft("fenced", asked.at, asked.by, asked.why, body, asked.request)


def rollback(state: State, asked: Asked, to: str | None, unfit: Unfit) -> Draft:
    """An intent to go back; over an unfinished promotion it cancels that.

    Raises:
        RegistryError: there is nothing to go back to, or not to that version.
    """
    pending = state.pending
    cancels = pending is not None and pending.undone is None and pending.action in _FORWARD
    target, why = _earlier(state, to, unfit, cancels=cancels)
    leaves = pending.target if pending and cancels else state.champion
    body = {
        "action": ROLLBACK,
        "version": target.version,
        "digest": target.digest,
        "before": state.champion.version if state.champion else None,
        "after": target.version,
        "leaves": leaves.version if leaves else None,
        "person": asked.person,
    }
    return Draft("intent", asked.at, asked.by, f"{asked.why}{why}", body, asked.request)


def demotion(
    state: State,
    expected: Champion,
    to: Champion,
    asked: Asked,
    found: Mapping[str, Any],
    unfit: Unfit,
) -> Draft:
    """An intent to go back from a champion on probation, with the numbers that found it worse.

    Raises:
        PromotionLost: another champion serves than the one that was judged.
        RegistryError: the predecessor cannot serve.
    """
    if state.pending is not None or state.champion != expected:
        raise PromotionLost(_version(state.wanted), expected.version)
    draft = rollback(state, asked, to.version, unfit)
    return replace(draft, body={**draft.body, "probation": dict(found)})


def repair(
    state: State, standing: Standing, policy: OnHandChange, unfit: Unfit, asked: Asked
) -> Draft | None:
    """An intent to adopt or revert what somebody changed by hand; None where all agree.

    Raises:
        RegistryError: the ledger is empty and what is in Production cannot be taken over.
    """
    wanted = _version(state.champion)
    if standing.shows(wanted):
        return None
    adopted = _adoptable(state, standing, policy, unfit)
    if adopted is None and state.head.number == 0:
        raise RegistryError(
            f"{standing}, the ledger is empty, and no single sound version can be taken over; "
            "leave exactly one version that Nocturne registered in Production, or none"
        )
    body: dict[str, Any] = {
        "action": ADOPT if adopted else REVERT,
        "version": adopted[0] if adopted else wanted,
        "digest": adopted[1] if adopted else None,
        "before": wanted,
        "after": adopted[0] if adopted else wanted,
        "found": {"production": sorted(standing.production), "alias": standing.alias},
    }
    verb = "adopted" if adopted else "reverted"
    why = f"changed by hand: {standing}; the ledger says {named(state.champion)}: {verb}"
    return Draft("intent", asked.at, asked.by, why, body)


def turning_back(pending: Pending, standing: Standing, unfit: Unfit, asked: Asked) -> Draft | None:
    """That an unfinished move cannot be finished, or None where it can."""
    target, before = pending.target, pending.before
    if pending.undone is not None or target is None or pending.action == REVERT:
        return None
    known = {champion.version for champion in (target, before) if champion}
    strangers = standing.production - known
    why = None
    if strangers and pending.action in (PROMOTE, APPROVE):
        why = f"{standing}, which is neither {named(before)} nor {named(target)}"
    why = why or unfit(target.version, target.digest)
    if why is None:
        return None
    body = {"about": pending.number, "before": _version(target), "after": _version(before)}
    return Draft("undone", asked.at, asked.by, f"{why}; {named(before)} stays", body)


def finished(pending: Pending, asked: Asked) -> Draft:
    """That the mirror shows what the ledger wants."""
    body = {
        "about": pending.number,
        "action": pending.action,
        "before": _version(pending.before),
        "after": _version(pending.target),
    }
    return Draft("done", asked.at, asked.by, f"{named(pending.target)} is in Production", body)


def named(champion: Champion | None) -> str:
    """A champion in a sentence."""
    return f"v{champion.version}" if champion else "no version"


_FORWARD = (PROMOTE, APPROVE, ADOPT)


def _earlier(state: State, to: str | None, unfit: Unfit, *, cancels: bool) -> tuple[Champion, str]:
    """Whom to go back to, and what is to be said about the choice."""
    if state.champion is None and state.pending is None:
        raise RegistryError("rollback: nothing is in Production; there is nothing to go back from")
    choices = [*state.past, *([state.champion] if cancels and state.champion else [])]
    if to is None:
        if state.pending is not None and not cancels:
            raise RegistryError(
                f"rollback: entry {state.pending.number} ({state.pending.action}) already brings "
                f"back {named(state.pending.target)} and waits for MLflow; name a version to go "
                "further back"
            )
        said = ""
        for champion in reversed(choices):
            why = unfit(champion.version, champion.digest)
            if why is None:
                return champion, said
            said += f"; {named(champion)} passed over: {why}"
        raise RegistryError(f"rollback: nothing to go back to from {named(state.champion)}{said}")
    for champion in reversed(choices):
        if champion.version == to and (cancels or to != _version(state.champion)):
            why = unfit(champion.version, champion.digest)
            if why is not None:
                raise RegistryError(f"rollback to v{to}: {why}; choose another version")
            return champion, ""
    known = ", ".join(named(champion) for champion in choices) or "none"
    if to in state.pruned:
        raise RegistryError(
            f"rollback to v{to}: retention pruned it (entry {state.pruned[to]}); there are: "
            f"{known}. retention.versions says how many earlier champions are kept"
        )
    raise RegistryError(
        f"rollback to v{to}: not an earlier version in Production; there are: {known}. Any other "
        "version is promoted, not rolled back to"
    )


def _adoptable(
    state: State, standing: Standing, policy: OnHandChange, unfit: Unfit
) -> tuple[str, str] | None:
    """The version and digest to adopt, where the policy and the facts allow one."""
    first = state.champion is None  # what served before there was a ledger
    if policy != "adopt" and not first:
        return None
    strangers = standing.strangers(_version(state.champion))
    if first and standing.alias in standing.production:
        strangers = {str(standing.alias)}
    if len(strangers) != 1 or strangers & {*state.barred, *state.pruned}:
        return None
    version = strangers.pop()
    digests = {champion.version: champion.digest for champion in state.past}
    digest = digests.get(version) or standing.digests.get(version)
    if digest is None or unfit(version, digest) is not None:
        return None
    return version, digest


def _move(judged: Judged, proposal: int | None) -> dict[str, Any]:
    action = {"action": PROMOTE} if proposal is None else {"action": APPROVE, "about": proposal}
    since = judged.expected.since if judged.expected else 0
    return {**action, "digest": judged.digest, "after": judged.version, "expected_since": since}


def _refusal(state: State, judged: Judged, asked: Asked, rule: str, why: str) -> Draft:
    """A lost promotion stays lost; the others may be asked again when the reason is gone."""
    expected = _version(judged.expected)
    draft = _drafted("refused", state, judged, asked, {"rule": rule, "expected": expected})
    request = draft.request if rule == "lost" else ""
    return replace(draft, why=why, request=request)


def _drafted(
    kind: str, state: State, judged: Judged, asked: Asked, body: Mapping[str, Any]
) -> Draft:
    before = _version(state.champion)
    content = {"version": judged.version, "before": before, "after": before, **body}
    content["person"] = asked.person
    if judged.facts is not None:
        content["facts"] = asdict(judged.facts)
    return Draft(kind, asked.at, asked.by, asked.why, content, judged.request(asked))


def _version(champion: Champion | None) -> str | None:
    return champion.version if champion else None
