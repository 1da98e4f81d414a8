"""How a night ended, written for as long as it is the process' own; nights that need not run."""

# no `from __future__ import annotations`: imported by a flow module
import logging
from datetime import UTC, date, datetime

from flows import missed
from infra.failpoints import failpoint
from infra.storage import Storage
from tasks import nights
from tasks.config import Pipeline
from tasks.lease import Lease
from tasks.references import Night

logger = logging.getLogger(__name__)


def record(night: Night, storage: Storage, lease: Lease) -> None:
    """Write how a night ended, for as long as it is this process' own.

    Raises:
        LeaseLost: it is not; what was written counts only until its heir writes.
        StorageError: the store does not answer or refuses.
    """
    lease.check()
    failpoint("before_save")
    nights.save(night, storage, lease=lease.held.number)
    failpoint("after_save")
    lease.check()


def skipped_for(
    pipeline: Pipeline, day: date, scheduled: datetime, storage: Storage, lease: Lease
) -> Night | None:
    """A scheduled night that should not run; one that should covers those that were missed."""
    facts = {"pipeline": pipeline.name, "outcome": "skipped", "seed": pipeline.seed}
    now = datetime.now(UTC)
    facts["finished_at"] = now.isoformat(timespec="seconds")
    why = missed.why_skipped(pipeline.schedule, scheduled, now)
    if why is not None:
        return Night(**facts, logical_date=day.isoformat(), reason=why)
    for other in missed.covered(
        pipeline.schedule, scheduled, nights.recorded(pipeline.name, storage)
    ):
        logger.warning("night %s was missed; this one covers it", other)
        reason = f"covered by night {day}: no process ran when it was due"
        record(Night(**facts, logical_date=other.isoformat(), reason=reason), storage, lease)
    return None
