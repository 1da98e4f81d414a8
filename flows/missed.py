"""Nights that come late, or not at all: which day a run is for, and which others it covers."""

# no `from __future__ import annotations`: imported by a flow module
import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from infra.storage import Storage
from tasks import leases, nights
from tasks.config import Pipeline, Schedule
from tasks.references import Night

MOST = 366  # nights that one run stands for


def logical_day(scheduled: datetime, schedule: Schedule) -> date:
    """The day a run is for: the date where its cron is read, so that no day comes twice.

    In UTC, a night at 01:30 in Berlin would be of the day before in summer and of the same day in
    winter: one date a year would come twice, and one never.
    """
    return local_day(scheduled, schedule.timezone)


def finished(
    pipeline: Pipeline, day: date | None, storage: Storage, *, since: datetime | None = None
) -> Night | None:
    """The record of a night that is over, before Prefect is imported, which takes seconds.

    Args:
        pipeline: Its name and schedule.
        day: The logical date; None: today's.
        storage: Holds records and leases.
        since: Only a night that ended after this moment.

    Returns:
        None where the night is to run, or where one that died is to be found by the flow first.
    """
    if leases.dead(pipeline.name, storage, time.time()):
        return None
    today = logical_day(datetime.now(UTC), pipeline.schedule)
    found = nights.finished(pipeline.name, day or today, storage)
    earliest = since.replace(microsecond=0).isoformat() if since else ""
    return found if found and found.finished_at >= earliest else None


def local_day(moment: datetime, timezone: str) -> date:
    """The date of a moment in a time zone, by its IANA name."""
    # Prefect hands out a kind of datetime of its own
    return datetime.fromtimestamp(moment.timestamp(), ZoneInfo(timezone)).date()


def fires(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """When the cron fires after one moment and up to another, at most `MOST` times."""
    from prefect.server.schemas.schedules import CronSchedule

    cron = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    beginning = after + timedelta(seconds=1)
    if beginning > until:
        return []
    found = asyncio.run(cron.get_dates(n=MOST, start=beginning, end=until))
    return [datetime.fromtimestamp(moment.timestamp(), UTC) for moment in found]


def why_skipped(schedule: Schedule, scheduled: datetime, now: datetime) -> str | None:
    """Why a run should not take place; None where it should.

    Args:
        schedule: Of the pipeline.
        scheduled: When the run was due.
        now: When it begins.
    """
    later = fires(schedule, scheduled, now)
    if later:
        heir = logical_day(later[-1], schedule)
        return f"covered by night {heir}, which was due when this one began and sees all its rows"
    late, limit = (now - scheduled).total_seconds() / 3600, schedule.max_late_hours
    if limit is not None and late > limit:
        return f"{late:.1f} h late, more than schedule.max_late_hours = {limit:g}"
    return None


def covered(schedule: Schedule, scheduled: datetime, recorded: Iterable[str]) -> list[date]:
    """Days before a run on which a night was due and none has a record: it covers them.

    Args:
        schedule: Of the pipeline.
        scheduled: When the run was due.
        recorded: Logical dates with a record; without any, nothing was missed yet.
    """
    known, today = set(recorded), logical_day(scheduled, schedule)
    earlier = [one for one in known if one < today.isoformat()]
    if not earlier:
        return []
    last = datetime.fromisoformat(max(earlier)).replace(tzinfo=ZoneInfo(schedule.timezone))
    days = (logical_day(moment, schedule) for moment in fires(schedule, last, scheduled))
    return [day for day in dict.fromkeys(days) if day < today and day.isoformat() not in known]
