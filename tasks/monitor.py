"""Stages: a day's live inputs against the training reference, and the page that shows it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from prefect import task

from infra.settings import Settings
from infra.storage import Storage, open_storage
from model_registry.words import counted
from tasks import live_inputs, reference_rows, watched_days
from tasks.config import Pipeline
from tasks.references import Measured, Snapshot, Watched

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tasks.drift.day import Judged

logger = logging.getLogger(__name__)


@task
def watch(pipeline: Pipeline, day: date) -> Watched:
    """Compare the live inputs of a day with the reference of the version that answered most.

    Args:
        pipeline: Its `monitoring` says how.
        day: The logical date, in UTC as the log counts days.

    Raises:
        NoReference: the version has no reference rows.
        StorageError: the store refuses or does not answer.
    """
    from tasks.drift.day import commonest, judged, thinned

    storage, how = open_storage(Settings()), pipeline.monitoring
    logged = live_inputs.read(storage, pipeline.name, day)
    version = commonest(logged.column("version").to_pylist())
    rows = _of_version(logged, version)
    if version is None or rows.num_rows < how.min_rows:
        return _too_few(pipeline, day, logged.num_rows, version)
    seed = zlib.crc32(f"{pipeline.name} {day.isoformat()}".encode())
    reference = reference_rows.read(storage, pipeline.name, version)
    compared = thinned(rows, how.rows, seed)
    found = judged(
        compared,
        reference,
        channels=pipeline.columns.sequence,
        permutations=how.permutations,
        seed=seed,
    )
    watched = _watched(pipeline, day, found, compared.num_rows, reference.num_rows, storage)
    return watched.model_copy(
        update={
            "version": version,
            "rows": logged.num_rows,
            "not_compared": tuple(_missing(compared)),
            "true_accuracy": _true_accuracies(pipeline, day, storage),
        }
    )


def _of_version(logged: pa.Table, version: str | None) -> pa.Table:
    import pyarrow.compute as pc

    return logged.filter(pc.equal(logged.column("version"), version or ""))


def _missing(compared: pa.Table) -> list[str]:
    from tasks.drift.looks import not_compared

    return not_compared(compared)


def _level(pipeline: Pipeline, rows: int, references: int) -> float:
    from tasks.drift.rates import nightly_level

    how = pipeline.monitoring
    shared = round(rows / max(rows + references, 1), 2)
    after = how.alarm_after
    return nightly_level(how.false_alarms_per_month, after.k, after.of, shared)


def _too_few(pipeline: Pipeline, day: date, rows: int, version: str | None) -> Watched:
    least = pipeline.monitoring.min_rows
    return Watched(
        pipeline=pipeline.name,
        logical_date=day.isoformat(),
        version=version,
        rows=rows,
        level=_level(pipeline, 1, 1),
        reason=f"not judged: {counted(rows, 'row')} logged on {day}, "
        f"monitoring.min_rows = {least:,}",
    )


def _watched(
    pipeline: Pipeline, day: date, found: Judged, rows: int, references: int, storage: Storage
) -> Watched:
    from tasks.drift.rates import alarms

    after = pipeline.monitoring.alarm_after
    level = _level(pipeline, rows, references)
    conspicuous = found.smallest <= level
    earlier = watched_days.flags(storage, pipeline.name, day, after.of - 1)
    alarm = alarms([*earlier, conspicuous], after.k, after.of)[-1]
    sure = found.accuracy
    return Watched(
        pipeline=pipeline.name,
        logical_date=day.isoformat(),
        rows=rows,
        compared=rows,
        reference_rows=references,
        level=level,
        smallest=found.smallest,
        conspicuous=conspicuous,
        alarm=alarm,
        reason=_reason(found, level, sum(earlier) + conspicuous, pipeline, alarm=alarm),
        features=found.moved,
        reference_accuracy=sure.reference if sure else None,
        estimated_accuracy=Measured(value=sure.value, low=sure.low, high=sure.high)
        if sure
        else None,
        thresholded_accuracy=sure.thresholded if sure else None,
    )


def _reason(found: Judged, level: float, nights: int, pipeline: Pipeline, *, alarm: bool) -> str:
    """What was found, in one sentence with its numbers."""
    after = pipeline.monitoring.alarm_after
    if not found.moved:
        return "nothing could be compared"
    first = found.moved[0]
    numbers = f"p = {first.among:.4f} among {len(found.moved)} features, level {level:.4f}"
    if first.among > level:
        return f"quiet: {first.feature} is the likeliest to have moved, {numbers}"
    what = ", ".join(one.feature for one in found.moved if one.among <= level)
    where = f" ({first.said})" if first.said else ""
    nights_said = f"{nights} of the last {after.of} nights, {after.k} raise an alarm"
    word = "alarm" if alarm else "conspicuous"
    return f"{word}: {what} moved{where}, {numbers}; {nights_said}"


def _true_accuracies(
    pipeline: Pipeline, day: date, storage: Storage
) -> dict[str, tuple[float, int]]:
    """Of the days whose labels may have come by now."""
    from tasks.drift.labels import true_accuracy

    first = day - timedelta(days=pipeline.monitoring.label_days)
    labelled = _labelled(pipeline, first, storage) if pipeline.monitoring.label_days else None
    if labelled is None or not len(labelled):
        return {}
    found = {}
    for one in _days(first, day):
        logged = live_inputs.read(storage, pipeline.name, one)
        if logged.num_rows:
            value, rows = true_accuracy(logged, labelled)
            if rows:
                found[one.isoformat()] = (value, rows)
    return found


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _labelled(pipeline: Pipeline, first: date, storage: Storage) -> pd.DataFrame | None:
    """The rows of the newest snapshot that came since the first day looked at."""
    from tasks.datasets import snapshots

    nights = snapshots.recent(pipeline.name, storage, date.max, limit=1)
    if not nights:
        return None
    newest = nights[-1]
    key = snapshots.key_of(pipeline.name, newest.digest)
    taken = Snapshot(
        key=key, digest=newest.digest, rows=newest.rows, new_rows=newest.new_rows, duplicates=0
    )
    frame = snapshots.load(taken, storage)
    if "time" in frame:
        frame = frame[frame["time"] >= datetime.combine(first, datetime.min.time(), UTC)]
    return frame.reset_index(drop=True)


@task
def write_report(pipeline: Pipeline, watched: Watched) -> Watched:
    """The drift report, beside the work and in the store; the record with its place."""
    from tasks.drift.report import write

    settings = Settings()
    storage = open_storage(settings)
    day = date.fromisoformat(watched.logical_date)
    before = watched_days.before(storage, pipeline.name, day, 30)
    tables = None
    if watched.version is not None and watched.compared:
        logged = live_inputs.read(storage, pipeline.name, day)
        reference = reference_rows.read(storage, pipeline.name, watched.version)
        tables = (_of_version(logged, watched.version), reference)
    path = write(watched_days.page(settings, watched), pipeline, watched, before, tables)
    key = f"monitoring/{pipeline.name}/{watched.logical_date}.html"
    storage.upload(key, path)
    return watched.model_copy(update={"report": key})
