"""Who is champion: by a night's verdict, and by a person's word; the ledger decides both."""

from __future__ import annotations

import getpass
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from infra.settings import Settings
from infra.storage import open_storage
from model_registry import connection, gates_live
from model_registry.asking import Asked, Facts, Judged
from model_registry.errors import PromotionLost, RegistryUnreachable, VersionUnfit
from model_registry.outcomes import Outcome, PromotionRefused
from model_registry.protocol import Promotions
from model_registry.results import GateResult
from model_registry.state import Champion
from model_registry.store import Registry
from model_registry.versions import PRODUCTION, STAGING
from tasks import shadow_findings
from tasks.config import Pipeline
from tasks.lease import Lease
from tasks.promotions import open_promotions, reconciled, request_of
from tasks.references import Registered, Verdict

logger = logging.getLogger(__name__)

FINAL = ("barred", "same")  # refusals that the night's rerun would only meet again


def begin(pipeline: Pipeline, day: date, lease: Lease) -> None:
    """Before a night reads who is champion: finish and mend what others left.

    Whoever held the lease before and never said how it ended may wake up between its last look
    at the lease and its entry: an entry of ours takes the place that it would write to.
    """
    promotions = open_promotions(pipeline, still_ours=lease.check)
    state = reconciled(promotions, request_of(day))
    silent = lease.silent()
    if silent is None or not state.head.number:  # of two first entries one wins anyway
        return
    why = f"{silent.what} (lease {silent.number}) never said how it ended; it decides nothing more"
    promotions.fence(Asked(f"lease {silent.number}", request_of(day), why, datetime.now(UTC)))


def conclude(
    pipeline: Pipeline,
    day: date,
    registered: Registered,
    expected: Champion | None,
    verdict: Verdict,
    facts: Facts,
    *,
    still_ours: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Record what becomes of the challenger, and let it become champion if all agree.

    A night that was decided before finds its answer, and nothing is decided twice.

    Args:
        pipeline: Says whether a person is asked first.
        day: The night.
        registered: The challenger as a version.
        expected: The champion it was judged against.
        verdict: What the gates said.
        facts: What all of it rests on.
        still_ours: Asked before each entry; raises where another has taken the night over.

    Returns:
        How the night ends, as fields of its record.

    Raises:
        RegistryUnreachable: MLflow is away; nothing was decided, or the next one finishes it.
    """
    promotions = open_promotions(pipeline, still_ours=still_ours)
    night = request_of(day)
    asked = Asked(night, night, verdict.reason, datetime.now(UTC))
    judged = Judged(registered.version, registered.digest, expected, facts)
    before = expected.version if expected else None
    found = {"champion_before": before, "champion_after": before, "stage": STAGING}
    try:
        outcome = promotions.answer(night) or _decide(pipeline, promotions, judged, asked, verdict)
    except PromotionLost as error:
        return found | _refused("failed", str(error), error.found)
    except PromotionRefused as error:
        ending = "kept" if error.rule in FINAL else "failed"
        return found | _refused(ending, str(error), before)
    except RegistryUnreachable as error:
        raise RegistryUnreachable(f"{error}. {_left(promotions, night)}") from None
    return found | _ending(outcome)


def by_hand(
    pipeline: Pipeline, verb: str, version: str | None, reason: str, by: str | None
) -> dict[str, Any]:
    """What a person asks of the registry, recorded with name and reason.

    Args:
        pipeline: Its name is the registered model's.
        verb: approve, or an entry of `BY_HAND`.
        version: Which; None where the verb can tell by itself.
        reason: Why.
        by: Who asks; the system's user where None.

    Returns:
        What was decided, as plain values.

    Raises:
        PromotionLost: somebody else moved Production meanwhile.
        PromotionRefused: a rule forbids it; recorded.
        RegistryError: no such version, nothing to go back to, or MLflow does not answer.
    """
    promotions = open_promotions(pipeline)
    before = promotions.state().champion
    who = by or getpass.getuser()
    asked = Asked(f"{verb} {uuid.uuid4().hex}", who, reason, datetime.now(UTC), person=True)
    shadow = None
    if verb == "approve":
        shadow = shadow_of(pipeline, promotions.waiting(version).version, before)
        outcome = _approve(promotions, asked, version, shadow)
    else:
        outcome = BY_HAND[verb](promotions, asked, version)
    after = promotions.state().champion
    told = {"shadow": shadow.sentence} if shadow else {}
    return told | {
        "model": pipeline.name,
        "decided": outcome.kind,
        "version": outcome.version,
        "entry": outcome.number,
        "champion_before": before.version if before else None,
        "champion_after": after.version if after else None,
        "reason": outcome.why,
        "by": who,
        "in_mlflow": outcome.applied or "when it answers again; `nocturne reconcile` applies it",
    }


def shadow_of(pipeline: Pipeline, version: str, champion: Champion | None) -> GateResult | None:
    """What the gate says of a version by its live shadow; None where no such gate is asked."""
    asked = next((gate for gate in pipeline.gates if gate.name == "shadow"), None)
    if asked is None:
        return None
    storage = open_storage(Settings())
    found = shadow_findings.beside(storage, pipeline.name, version, champion)
    return gates_live.shadow(gates_live.Live(found), **asked.options)


def reconcile(pipeline: Pipeline, by: str | None) -> list[str]:
    """Finish what is unfinished and mend what was changed by hand; a sentence for each.

    Raises:
        RegistryUnreachable: MLflow is away; asking again goes on from there.
    """
    who = by or getpass.getuser()
    asked = Asked(f"reconcile {uuid.uuid4().hex}", who, "asked for", datetime.now(UTC), person=True)
    return list(open_promotions(pipeline).reconcile(asked))


def verify(pipeline: Pipeline) -> list[str]:
    """Everything that does not hold: chain, checkpoint, MLflow's page, bundles; in sentences."""
    return list(open_promotions(pipeline).audit())


def _decide(
    pipeline: Pipeline, promotions: Promotions, judged: Judged, asked: Asked, verdict: Verdict
) -> Outcome:
    """The night's own word: kept, proposed to a person, or promoted."""
    if not verdict.promote:
        return promotions.keep(judged, asked)
    same = judged.expected is not None and judged.expected.version == judged.version
    if pipeline.policy.approval == "required" and not same:
        return promotions.propose(judged, asked)
    return promotions.promote(judged, asked)


def _ending(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"version": outcome.version, "reason": outcome.why, "refused_by": None}
    if outcome.kind == "promoted":
        moved = {"stage": PRODUCTION, "champion_after": outcome.version}
        return {**facts, **moved, "outcome": "promoted"}
    if outcome.kind == "proposed":
        reason = f"v{outcome.version} waits for a person's word: {outcome.why}"
        return {**facts, "outcome": "kept", "reason": reason, "refused_by": "approval"}
    return {**facts, "outcome": "kept", "refused_by": "gate"}


def _refused(outcome: str, reason: str, champion: str | None) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reason": reason,
        "refused_by": "ledger",
        "champion_after": champion,
    }


def _left(promotions: Promotions, night: str) -> str:
    """What an MLflow that went away during a promotion leaves behind."""
    pending = promotions.state().pending
    if pending is None or not pending.request.startswith(night):
        return "Nothing was decided: run the night again when MLflow answers"
    return (
        f"The ledger holds the promotion as entry {pending.number}; whoever reads the registry "
        "next finishes it, as `nocturne reconcile` does"
    )


def _promote(promotions: Promotions, asked: Asked, version: str | None) -> Outcome:
    promotions.reconcile(asked)
    found = Registry(Settings().mlflow_uri).version(promotions.ledger.name, str(version))
    if found.digest is None:
        raise VersionUnfit(f"v{version} has no digest tag; Nocturne did not register it")
    judged = Judged(found.version, found.digest, promotions.state().champion)
    return promotions.promote(judged, asked)


def _approve(
    promotions: Promotions, asked: Asked, version: str | None, shadow: GateResult | None
) -> Outcome:
    """A person's yes, with what live traffic showed; where that speaks against it, a refusal."""
    if shadow is None:
        return promotions.approve(asked, version)
    if shadow.numbers["rows"]:
        asked = replace(asked, why=f"{asked.why}; shadow: {shadow.sentence}")
    objection = None
    if not shadow.passed:
        way_out = "`nocturne reject` it, or `nocturne promote` it all the same"
        objection = f"shadow: {shadow.sentence}; {way_out}"
    return promotions.approve(asked, version, objection=objection)


def _rollback(promotions: Promotions, asked: Asked, version: str | None) -> Outcome:
    with connection.hurried():
        return promotions.rollback(asked, version)


BY_HAND: dict[str, Callable[[Promotions, Asked, str | None], Outcome]] = {
    "promote": _promote,
    "rollback": _rollback,
    "reject": Promotions.reject,
}
