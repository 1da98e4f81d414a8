"""A champion on probation: judged by labels that came since, and demoted where it proves worse."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime

from infra.settings import Settings
from infra.storage import open_storage
from model_registry.asking import Asked
from model_registry.errors import PromotionLost, RegistryError
from model_registry.ledger import LedgerError
from model_registry.probation import Trial, on_probation
from model_registry.protocol import Promotions
from tasks import probations
from tasks.config import Pipeline
from tasks.notify import tell_of_demotion
from tasks.probation import probe
from tasks.promotions import open_promotions, reconciled, request_of
from tasks.references import Probed, Snapshot, Validated

logger = logging.getLogger(__name__)


def undergo(
    pipeline: Pipeline,
    day: date,
    taken: Snapshot,
    *,
    probing: Callable[..., Probed] = probe,
    still_ours: Callable[[], None] = lambda: None,
) -> Probed | None:
    """One look at who is on probation; demotes it where it is worse.

    A rerun of a night that looked or demoted finds what it found, and decides nothing more.

    Args:
        pipeline: Whose champion.
        day: The night.
        taken: Its clean rows.
        probing: Judges, as `probe` does.
        still_ours: Asked before each entry; raises where another has taken over.

    Returns:
        What was found; None where nobody is on probation.

    Raises:
        LedgerError: the ledger does not hold, or cannot be written to.
    """
    if not pipeline.policy.probation.nights:
        return None
    promotions = open_promotions(pipeline, still_ours=still_ours)
    storage = open_storage(Settings())
    earlier = _demoted_before(promotions, request(day))
    champion = promotions.state().champion
    if earlier is not None or champion is None:
        return earlier
    looks = probations.looks(storage, pipeline.name, champion.since)
    known = next((one for one in looks if one.logical_date == day.isoformat()), None)
    if known is not None or len(looks) >= pipeline.policy.probation.nights:
        return known
    trial = on_probation(list(promotions.ledger.follow()))
    if trial is None:
        return None
    found = probing(pipeline, day, trial, taken, look=len(looks) + 1)
    if found.worse:
        found = _demote(promotions, trial, found, day)
    if found.judged:
        probations.save(storage, found)
    return found


def look_now(pipeline: Pipeline, day: date | None = None) -> Probed | None:
    """The same on demand, over the source as it is now; without a Prefect server.

    A demotion is told to `NOCTURNE_NOTIFY`, as that of a night is, also where it stood already.

    Raises:
        DataError: the contract refuses the rows; nobody is demoted on them.
    """
    from flows.validating import check
    from tasks.datasets.errors import DataError

    day = day or datetime.now(UTC).date()
    reconciled(open_promotions(pipeline), request(day))
    said: Validated = check(pipeline, day)
    if not said.accepted or said.clean is None:
        raise DataError(f"probation of {pipeline.name!r}: the rows are refused: {said.reason}")
    found = undergo(pipeline, day, said.clean, probing=probe.fn)
    if found and found.demoted:
        tell_of_demotion(found)
    return found


def request(day: date) -> str:
    """What the decision is asked by, so that a rerun finds it."""
    return f"probation, {request_of(day)}"


def _demote(promotions: Promotions, trial: Trial, found: Probed, day: date) -> Probed:
    """The ledger's word on it; a champion that left meanwhile is not demoted."""
    why = f"demoted by probation: {found.reason}"
    asked = Asked(request(day), request(day), why, datetime.now(UTC))
    numbers = found.model_dump(mode="json", exclude={"reason"})
    try:
        outcome = promotions.demote(trial.champion, trial.predecessor, asked, numbers)
    except LedgerError:
        raise
    except (PromotionLost, RegistryError) as error:
        logger.error("probation: v%s is not demoted: %s", found.version, error)
        return found.model_copy(update={"reason": f"{found.reason}; not demoted: {error}"})
    logger.warning("%s", outcome.why)
    return found.model_copy(update={"demoted": True, "reason": outcome.why})


def _demoted_before(promotions: Promotions, asked: str) -> Probed | None:
    """What an earlier run for this date decided, read from its entry."""
    number = promotions.state().requests.get(asked)
    entry = promotions.ledger.entry(number) if number else None
    if entry is None:
        return None
    return Probed(**{**entry.body["probation"], "demoted": True, "reason": entry.why})
