"""Live inputs of a day against the training reference; an alarm starts the next night."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
import logging
from datetime import UTC, date, datetime, timedelta

from prefect import flow
from prefect.runtime import flow_run

from flows import missed
from flows.display import aloud
from infra.settings import Settings
from infra.storage import open_storage
from tasks import watched_days
from tasks.alarm import leave_page, log_day, raise_alarm
from tasks.config import Pipeline
from tasks.monitor import watch, write_report
from tasks.references import Watched

logger = logging.getLogger(__name__)


@flow(name="monitor", flow_run_name="{pipeline.name}", persist_result=False)
def monitor(
    pipeline: Pipeline, logical_date: date | None = None, *, force: bool = False
) -> Watched:
    """Compare a day with the reference; a day that is recorded already changes nothing.

    Args:
        pipeline: Its `monitoring` says how.
        logical_date: The day; by default the one before the run was due.
        force: Look at it again; its alarm has the same event, which counts once.

    Raises:
        NoReference: the version that answered has no reference rows.
    """
    scheduled: datetime = flow_run.scheduled_start_time or datetime.now(UTC)
    yesterday = missed.local_day(scheduled, pipeline.monitoring.timezone) - timedelta(days=1)
    day = logical_date or yesterday
    with aloud(pipeline.name):
        known = recorded(pipeline, day, force=force)
        if known is not None:
            return known
        found = log_day(write_report(pipeline, watch(pipeline, day)))
        if found.alarm:
            found = raise_alarm(found)
        keep(found)
        leave_page(found)
        return found


def monitor_day(
    pipeline: Pipeline, logical_date: date | None = None, *, force: bool = False
) -> Watched:
    """The same, as a flow where a Prefect server is set, else at once and without one."""
    if Settings().prefect_url:
        return monitor(pipeline, logical_date, force=force)
    day = logical_date or datetime.now(UTC).date() - timedelta(days=1)
    known = recorded(pipeline, day, force=force)
    if known is not None:
        return known
    found = log_day.fn(write_report.fn(pipeline, watch.fn(pipeline, day)))
    if found.alarm:
        logger.warning("no Prefect server is set: the alarm starts no night by itself")
    keep(found)
    return found


def recorded(pipeline: Pipeline, day: date, *, force: bool) -> Watched | None:
    """What an earlier run found of the day; None where there is none, or it is not wanted."""
    known = None if force else watched_days.load(open_storage(Settings()), pipeline.name, day)
    if known is not None:
        logger.info("day %s is recorded: %s; --force looks again", day, known.reason)
    return known


def keep(found: Watched) -> None:
    """Record the day, and say what was found."""
    watched_days.save(open_storage(Settings()), found)
    logger.info("%s", found.reason)
