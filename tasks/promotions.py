"""A pipeline's ledger and the MLflow page that follows it, opened where the environment says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime

from infra.settings import Settings
from infra.storage import open_storage
from model_registry import decisions, signing
from model_registry.errors import RegistryUnreachable
from model_registry.fitness import Fitness
from model_registry.ledger import Ledger
from model_registry.mirror import MlflowMirror
from model_registry.protocol import Asked, Promotions
from model_registry.state import State
from model_registry.store import Registry
from tasks.config import Pipeline

logger = logging.getLogger(__name__)


def open_promotions(
    pipeline: Pipeline,
    settings: Settings | None = None,
    *,
    still_ours: Callable[[], None] = lambda: None,
) -> Promotions:
    """Every way to change who is champion of a pipeline; nothing is read yet.

    Args:
        pipeline: Whose champion.
        settings: Where everything is; the environment's where None.
        still_ours: Asked before each entry of the ledger; raises where the one who asks may
            write no more.
    """
    settings = settings or Settings()
    registry = Registry(settings.mlflow_uri)
    return Promotions(
        Ledger(open_storage(settings), pipeline.name),
        MlflowMirror(registry, pipeline.name),
        unfit=Fitness(registry, pipeline.name, signing.public_key_of(settings.signing_key)),
        on_hand_change=pipeline.policy.on_hand_change,
        still_ours=still_ours,
    )


def reconciled(promotions: Promotions, by: str) -> State:
    """Where the pipeline stands, after what was unfinished or changed by hand was mended.

    MLflow being away is a warning: the ledger answers without it, and the next one mends.

    Raises:
        LedgerBroken: the ledger does not hold.
        RegistryError: MLflow refuses, or shows what only a person can resolve.
    """
    asked = Asked(f"{by}: reconcile", by, "before the registry is read", datetime.now(UTC))
    try:
        for sentence in promotions.reconcile(asked):
            logger.warning("%s", sentence)
    except RegistryUnreachable as error:
        logger.warning("not reconciled, the ledger stands: %s", error)
    return promotions.state()


def request_of(day: date) -> str:
    """What the decision of a night is asked by, so that its rerun finds it."""
    return f"night {day.isoformat()}"


def seen_by(promotions: Promotions, day: date) -> State:
    """Where the pipeline stood when a night was decided; now, for a night that was not yet.

    A rerun after the decision judges against the same champion and counts the same looks at the
    test rows, and so comes to the same end.
    """
    answer = promotions.answer(request_of(day))
    if answer is None:
        return promotions.state()
    earlier = (entry for entry in promotions.ledger.follow() if entry.number < answer.number)
    return decisions.state_of(earlier, where=promotions.ledger.where)
