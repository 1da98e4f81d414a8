"""Stage transitions: by the night's verdict, and by a person's word."""

from __future__ import annotations

import getpass
from typing import Any

from infra.settings import Settings
from model_registry import stages
from model_registry.store import Registry
from model_registry.versions import PRODUCTION, Version
from tasks.config import Pipeline


def promote(
    pipeline: Pipeline, version: str, expected_champion: str | None, reason: str
) -> Version:
    """Put the challenger into Production because the gates said so.

    Args:
        pipeline: Its name is the registered model's.
        version: The challenger.
        expected_champion: The version it was judged against; None for none.
        reason: The verdict's sentence.

    Raises:
        PromotionLost: somebody else moved Production meanwhile; nothing was changed.
    """
    settings = Settings()
    return stages.move(
        Registry(settings.mlflow_uri),
        pipeline.name,
        version,
        PRODUCTION,
        expected_champion=expected_champion,
        lock_path=settings.registry_lock,
        reason=reason,
        by=stages.NIGHT,
    )


def by_hand(
    pipeline: Pipeline, verb: str, version: str | None, reason: str, by: str | None
) -> dict[str, Any]:
    """Promote a version, or roll back to one, on a person's word; both are recorded as tags.

    Args:
        pipeline: Its name is the registered model's.
        verb: `promote` or `rollback`.
        version: Which; for `rollback` None means the champion before this one.
        reason: Why.
        by: Who asks; the system's user where None.

    Raises:
        RegistryError: no such version, nothing to go back to, or MLflow does not answer.
    """
    settings = Settings()
    registry = Registry(settings.mlflow_uri)
    before = registry.champion(pipeline.name)
    by = by or getpass.getuser()
    lock = settings.registry_lock
    if verb == "rollback":
        moved = stages.rollback(
            registry, pipeline.name, version, lock_path=lock, reason=reason, by=by
        )
    else:
        moved = stages.move(
            registry,
            pipeline.name,
            str(version),
            PRODUCTION,
            expected_champion=before.version if before else None,
            lock_path=lock,
            reason=reason,
            by=by,
        )
    return {
        "model": pipeline.name,
        "version": moved.version,
        "stage": moved.stage,
        "champion_before": before.version if before else None,
        "reason": reason,
        "by": by,
    }
