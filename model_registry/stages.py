"""Moving versions between stages: stage, alias and tags together, under one writer.

MLflow's stage call is no atomic swap: racing promoters leave several versions in Production,
each told that it won. So every move holds one file lock, looks again at who is in Production,
writes tags first and the alias last, and reads everything back before it says it is done. Each
step may be repeated, so a move that died half-way is finished by moving again.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model_registry.errors import PromotionLost, RegistryError
from model_registry.store import Registry
from model_registry.versions import (
    ARCHIVED,
    CHALLENGER,
    CHAMPION,
    PRODUCTION,
    STAGES,
    STAGING,
    Version,
)

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
PROMOTED_AT, ROLLED_BACK = "promoted_at", "rolled_back"
NIGHT = "night"


@dataclass(frozen=True)
class _Order:
    """Where to, and on whose word."""

    stage: str
    expected: str | None
    reason: str
    by: str


def move(
    registry: Registry,
    name: str,
    version: str,
    stage: str,
    *,
    expected_champion: str | None = None,
    lock_path: Path,
    reason: str,
    by: str,
) -> Version:
    """Move one version to Staging, Production or Archived, whole or not at all.

    Args:
        registry: Where the versions are.
        name: The registered model.
        version: What is moved.
        stage: `Staging`, `Production` or `Archived`.
        expected_champion: For Production: the version the decision was made against, None for
            "none yet". Moving a version to where it already is succeeds.
        lock_path: File that all writers lock.
        reason: Why, for people; becomes a tag.
        by: Who decided: `NIGHT`, or a person's name.

    Returns:
        The version as it stands afterwards.

    Raises:
        PromotionLost: another version is in Production than was expected; nothing was changed.
        RegistryError: an unknown stage or version, missing files, a lock held for a minute,
            Production left empty, or MLflow not agreeing with itself afterwards.
    """
    if stage not in STAGES:
        raise RegistryError(f"unknown stage {stage!r}; use one of {', '.join(STAGES)}")
    with one_writer(lock_path):
        order = _Order(stage, expected_champion, reason, by)
        return _move(registry, name, str(version), order)


def rollback(
    registry: Registry,
    name: str,
    to: str | None = None,
    *,
    lock_path: Path,
    reason: str,
    by: str,
) -> Version:
    """Put the last good version back into Production and mark the present one as rolled back.

    Args:
        registry: Where the versions are.
        name: The registered model.
        to: The version to go back to; where absent, the one promoted last before the present
            one and never rolled back itself.
        lock_path: File that all writers lock.
        reason: Why, for people; becomes a tag of both versions.
        by: Who decided.

    Raises:
        RegistryError: nothing is in Production, or there is nothing to go back to.
    """
    with one_writer(lock_path):
        present = registry.champion(name)
        if present is None:
            raise RegistryError(f"model {name!r}: nothing is in Production to roll back from")
        target = _last_good(registry, name, present) if to is None else str(to)
        if target == present.version:
            raise RegistryError(f"model {name!r}: v{target} is in Production already")
        registry.version(name, target)
        registry.set_tags(name, present.version, {ROLLED_BACK: f"{by}: {reason}"})
        return _move(registry, name, target, _Order(PRODUCTION, present.version, reason, by))


@contextmanager
def one_writer(path: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of all writers; the system frees it when the process dies.

    Raises:
        RegistryError: somebody else held it for longer than the patience.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_seconds
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RegistryError(
                        f"registry busy: {path} was held for {patience_seconds:.0f} s by another "
                        "promotion; try again when it is done"
                    ) from None
                time.sleep(0.02)
        yield


def _move(registry: Registry, name: str, version: str, order: _Order) -> Version:
    """The steps, with the lock held."""
    target, before = registry.version(name, version), registry.champion(name)
    _refuse(target, before, order)
    if order.stage == PRODUCTION:
        registry.check_present(target)
    registry.set_tags(name, version, _tags(target, before, order))
    if target.stage != order.stage or order.stage == PRODUCTION:
        registry.set_stage(name, version, order.stage)
    _point_aliases(registry, name, version, order.stage)
    moved = _read_back(registry, name, version, order.stage)
    logger.info("model %s: v%s is in %s: %s", name, version, order.stage, order.reason)
    return moved


def _refuse(target: Version, before: Version | None, order: _Order) -> None:
    """Moves that would lose somebody's promotion, empty Production or repeat a mistake."""
    found = before.version if before else None
    if order.stage != PRODUCTION:
        if found == target.version:
            raise RegistryError(
                f"model {target.name!r}: v{found} is in Production and would leave it empty; "
                "promote or roll back to another version instead"
            )
    elif found not in (order.expected, target.version):
        raise PromotionLost(found, order.expected)
    elif order.by == NIGHT and target.tags.get(ROLLED_BACK):
        raise RegistryError(
            f"model {target.name!r}: v{target.version} was rolled back "
            f"({target.tags[ROLLED_BACK]}); only a person may promote it again"
        )


def _tags(target: Version, before: Version | None, order: _Order) -> dict[str, str]:
    tags = {"reason": order.reason, "by": order.by}
    if order.stage == PRODUCTION and not (before and before.version == target.version):
        tags[PROMOTED_AT] = datetime.now(UTC).isoformat(timespec="microseconds")
        tags["previous_champion"] = before.version if before else "none"
        tags |= {ROLLED_BACK: ""} if ROLLED_BACK in target.tags else {}
    return tags


def _point_aliases(registry: Registry, name: str, version: str, stage: str) -> None:
    """`champion` follows Production, `challenger` follows Staging and nothing else."""
    aliases = registry.aliases(name)
    wanted = {PRODUCTION: CHAMPION, STAGING: CHALLENGER}.get(stage)
    if wanted and aliases.get(wanted) != version:
        registry.set_alias(name, wanted, version)
    if stage != STAGING and aliases.get(CHALLENGER) == version:
        registry.set_alias(name, CHALLENGER, None)


def _read_back(registry: Registry, name: str, version: str, stage: str) -> Version:
    """The version as MLflow tells it now.

    Raises:
        RegistryError: it does not stand where it was put, or is not alone in Production.
    """
    versions = registry.versions(name)
    serving = [v.version for v in versions if v.stage == PRODUCTION]
    champion = registry.aliases(name).get(CHAMPION)
    moved = next(v for v in versions if v.version == version)
    agree = len(serving) <= 1 and (not serving or serving == [champion])
    if moved.stage != stage or not agree:
        shown = ", ".join(f"v{one}" for one in serving) or "no version"
        raise RegistryError(
            f"model {name!r}: after moving v{version} to {stage} it is in {moved.stage}, "
            f"{shown} in Production, alias {CHAMPION!r} at v{champion}; somebody else writes "
            "to MLflow: move it again"
        )
    return moved


def _last_good(registry: Registry, name: str, present: Version) -> str:
    """Of the versions that were in Production before, the one promoted last."""
    earlier = [
        version
        for version in registry.versions(name)
        if version.version != present.version
        and PROMOTED_AT in version.tags
        and not version.tags.get(ROLLED_BACK)
        and version.stage == ARCHIVED
    ]
    if not earlier:
        raise RegistryError(
            f"model {name!r}: no earlier good version to go back to from v{present.version}; "
            "promote one by hand"
        )
    return max(earlier, key=lambda version: version.tags[PROMOTED_AT]).version
