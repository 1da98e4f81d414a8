"""Retention: what a pipeline's policy and ledger no longer need is recorded, then deleted."""

# no `from __future__ import annotations`: imported by a flow module
import getpass
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from infra.settings import Settings
from infra.storage import open_storage
from model_registry.asking import Asked
from model_registry.decisions import state_of
from model_registry.runs import Runs
from model_registry.store import Registry
from tasks.config import Pipeline
from tasks.lease import holding
from tasks.promotions import open_promotions, reconciled, request_of
from tasks.retention.needs import kept_versions, needs_of, newest_nights, safe_since
from tasks.retention.sweeping import sweep
from tasks.retention.things import KINDS, Thing, in_registry, in_runs, in_store, staying, unneeded

logger = logging.getLogger(__name__)


def clean(
    pipeline: Pipeline, *, dry_run: bool = False, by: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Delete what `retention` does not keep and the ledger does not need.

    Args:
        pipeline: Whose.
        dry_run: Only say what would go; nothing is written.
        by: Who asks; the system's user where None.
        now: With a time zone.

    Returns:
        A row a kind: what goes, what stays and why, as plain values.

    Raises:
        StillRunning: a night of the pipeline is under way; nothing was deleted.
        LedgerBroken: the ledger does not hold; nothing was deleted.
        RegistryUnreachable: MLflow does not answer.
        StorageError: the store does not answer or refuses.
    """
    settings, moment = Settings(), now or datetime.now(UTC)
    if dry_run:
        return _told(_Look(pipeline, moment).things(as_if_recorded=True), dry_run=True)
    lasts, storage = settings.lease_seconds, open_storage(settings)
    with holding(pipeline.name, moment.date(), storage, lasts=lasts, doing="retention") as lease:
        return clean_within(pipeline, lease.check, by or getpass.getuser(), moment)


def clean_within(
    pipeline: Pipeline, still_ours: Callable[[], None], by: str, now: datetime
) -> dict[str, Any]:
    """The same for who holds the pipeline's lease: a night at its end; raises as `clean` does."""
    promotions = open_promotions(pipeline, still_ours=still_ours)
    reconciled(promotions, by)
    policy = pipeline.retention
    why = f"retention keeps the newest {policy.nights} nights, {policy.versions} earlier champions"
    promotions.prune(_Look(pipeline, now).unneeded, Asked("retention", by, why, now))
    look = _Look(pipeline, now)  # of that which is recorded by now, and of nothing else
    things = look.things()
    said = f"{now.isoformat(timespec='seconds')} by {by}: {why}"
    sweep(things, look.storage, look.registry, look.runs, why=said, still_ours=still_ours)
    told = _told(things, dry_run=False)
    logger.info("retention: %d things deleted, %d bytes", told["deleted"], told["bytes"])
    return told


def after_night(pipeline: Pipeline, day: date, still_ours: Callable[[], None]) -> None:
    """At the end of a night that holds the lease, if the policy asks; no night fails by it."""
    if not pipeline.retention.every_night:
        return
    try:
        clean_within(pipeline, still_ours, request_of(day), datetime.now(UTC))
    except Exception as error:
        logger.warning("retention goes on with the next night or `nocturne gc`: %s", error)


class _Look:
    """One look at everything, by ledger and registry as they stand.

    Attributes:
        unneeded: Version to digest, of what the policy would let go and is not recorded.
    """

    def __init__(self, pipeline: Pipeline, now: datetime) -> None:
        settings = Settings()
        self.pipeline, self.now = pipeline, now
        self.storage = open_storage(settings)
        self.registry = Registry(settings.mlflow_uri)
        self.runs = Runs(settings.mlflow_uri, pipeline.name)
        promotions = open_promotions(pipeline, settings)
        self.entries = list(promotions.ledger.follow())
        self.state = state_of(self.entries, where=promotions.ledger.where)
        self.nights = newest_nights(pipeline, self.storage)
        policy, safe = pipeline.retention, safe_since(pipeline, now)
        self.found = self.registry.versions(pipeline.name)
        self.kept = kept_versions(self.state, self.entries, self.nights, policy.versions)
        self.unneeded = unneeded(self.found, self.kept, self.state, safe)

    def things(self, *, as_if_recorded: bool = False) -> list[Thing]:
        """All there are; a version goes only if the ledger says so, or will."""
        gone = {*self.state.pruned, *(self.unneeded if as_if_recorded else ())}
        safe = safe_since(self.pipeline, self.now)
        kept = staying(self.found, self.kept, gone, safe)
        needs = needs_of(self.pipeline, self.storage, self.entries, self.nights, kept, self.now)
        return [
            *in_registry(self.registry, self.found, gone, needs),
            *in_runs(self.runs, needs, self.now),
            *in_store(self.pipeline.name, self.storage, needs),
        ]


def _told(things: Sequence[Thing], *, dry_run: bool) -> dict[str, Any]:
    """A row a kind, and the sums."""
    rows = [_row(kind, [one for one in things if one.kind == kind]) for kind in KINDS]
    sums = {name: sum(row[name] for row in rows) for name in ("deleted", "bytes", "kept")}
    return {"dry_run": dry_run, **sums, "kinds": rows}


def _row(kind: str, things: Sequence[Thing]) -> dict[str, Any]:
    going = sorted(one.day for one in things if one.why is None)
    staying = Counter(one.why for one in things if one.why is not None)
    return {
        "kind": kind,
        "deleted": len(going),
        "bytes": sum(one.size or 0 for one in things if one.why is None),
        "oldest": going[0] if going else None,
        "newest": going[-1] if going else None,
        "kept": sum(staying.values()),
        "why_kept": dict(staying.most_common()),
    }
