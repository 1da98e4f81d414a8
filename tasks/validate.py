"""Stage: the snapshot against its contract; bad rows to quarantine, bad batches refused.

`quarantine/PIPELINE/DATE.parquet` holds the bad rows with their reasons, and
`validations/PIPELINE/DATE.json` what an accepted night held: later nights learn from those
only, so that a batch that was refused never becomes what is usual.
"""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from infra.settings import Settings
from infra.storage import Storage, StorageError, open_storage
from tasks.config import ConfigError, Pipeline
from tasks.references import Finding, Snapshot, Validated

if TYPE_CHECKING:
    import pandas as pd

    from expectations.terms import History, Report

logger = logging.getLogger(__name__)

NIGHTS = 14


@task
def validate(pipeline: Pipeline, snapshot: Snapshot, logical_date: date) -> Validated:
    """The snapshot's clean rows as a snapshot again, or the reasons for refusing it."""
    settings = Settings()
    docs = settings.work / pipeline.name / logical_date.isoformat() / "data_docs"
    storage, now = open_storage(settings), datetime.now(UTC)
    return judge(pipeline, snapshot, logical_date, storage=storage, docs=docs, now=now)


def judge(
    pipeline: Pipeline,
    snapshot: Snapshot,
    logical_date: date,
    *,
    storage: Storage,
    docs: Path,
    now: datetime,
) -> Validated:
    """What `validate` does, with the places and the clock given.

    Raises:
        ConfigError: a suite that cannot be read or evaluated whole.
        DataError: a snapshot that is not what its digest says.
        StorageError: a store that refuses or does not answer.
    """
    from expectations.suites import read_suite
    from expectations.terms import SuiteError
    from expectations.validation import check
    from tasks.datasets import snapshots
    from tasks.datasets.canonical import end_of
    from tasks.terms import terms_of

    frame = snapshots.load(snapshot, storage)
    history = history_of(pipeline.name, logical_date, storage)
    learnt = (label for night in history.nights for label in night.classes)
    terms = terms_of(pipeline, end_of(logical_date), learnt, now=now)
    try:
        suite = read_suite(Path(pipeline.contract.suite)) if pipeline.contract.suite else None
        report = check(
            frame, terms, suite, history=history, docs_dir=docs, dropped=snapshot.duplicates
        )
    except SuiteError as error:
        raise ConfigError(f"contract.suite: {error}") from None
    key = _quarantine(frame, report, pipeline.name, logical_date, storage)
    clean = None
    if report.accepted:
        rows = frame.drop(index=report.bad_rows.index).reset_index(drop=True)
        clean = snapshot_of(rows, snapshot, pipeline.name, storage)
        note = _note(rows, len(frame), clean, logical_date)
        storage.put(f"{_notes(pipeline.name)}{logical_date.isoformat()}.json", note)
    return Validated(
        accepted=report.accepted,
        reason=report.reason,
        clean=clean,
        quarantine_key=key,
        quarantined=len(report.bad_rows),
        findings=tuple(
            Finding(rule=f.rule, severity=f.severity, rows=f.rows, message=f.message,
                    examples=f.examples)
            for f in report.findings
        ),
        data_docs=str(report.docs_index),
    )  # fmt: skip


def history_of(pipeline_name: str, logical_date: date, storage: Storage) -> History:
    """The nights before a date whose batch was accepted, and the rows of the last of them."""
    from expectations.terms import History, Night

    folder = _notes(pipeline_name)
    dates = (key.removeprefix(folder).removesuffix(".json") for key in storage.keys(folder))
    last = [day for day in dates if day < logical_date.isoformat()][-NIGHTS:]
    notes = [json.loads(storage.get(f"{folder}{day}.json")) for day in last]
    nights = tuple(Night(note["date"], note["rows"], note["classes"]) for note in notes)
    return History(nights, _reference(notes[-1]["clean"], storage) if notes else None)


def _reference(clean: dict[str, object], storage: Storage) -> pd.DataFrame | None:
    from tasks.datasets import snapshots
    from tasks.datasets.errors import DataError

    try:
        return snapshots.load(Snapshot.model_validate(clean), storage)
    except (StorageError, DataError) as error:
        logger.warning("no comparison with the night before: %s", error)
        return None


def _quarantine(
    frame: pd.DataFrame, report: Report, pipeline_name: str, logical_date: date, storage: Storage
) -> str | None:
    """Where the bad rows went; None where there are none."""
    import pyarrow as pa
    from pyarrow import parquet

    from tasks.datasets.contents import arrow

    if report.bad_rows.empty:
        return None
    bad = frame.loc[report.bad_rows.index].assign(reason=report.bad_rows["reason"])
    content = io.BytesIO()
    parquet.write_table(pa.table({str(name): arrow(bad[name]) for name in bad.columns}), content)
    key = f"quarantine/{pipeline_name}/{logical_date.isoformat()}.parquet"
    storage.put(key, content.getvalue())
    return key


def snapshot_of(
    rows: pd.DataFrame, snapshot: Snapshot, pipeline_name: str, storage: Storage
) -> Snapshot:
    """Some of a snapshot's rows as a snapshot again; the same one where they are all."""
    from tasks.datasets import snapshots

    if len(rows) == snapshot.rows:
        return snapshot
    digest, key = snapshots.write(rows, pipeline_name, storage)
    newest = rows["time"].max().isoformat() if "time" in rows else None
    return snapshot.model_copy(
        update={
            "key": key,
            "digest": digest,
            "rows": len(rows),
            "new_rows": min(snapshot.new_rows, len(rows)),
            "newest": newest,
        }
    )


def _note(rows: pd.DataFrame, total: int, clean: Snapshot, logical_date: date) -> bytes:
    classes = {str(label): int(n) for label, n in rows["label"].value_counts().items()}
    note = {"rows": total, "classes": classes, "clean": clean.model_dump()}
    return json.dumps({"date": logical_date.isoformat(), **note}, indent=1).encode()


def _notes(pipeline_name: str) -> str:
    return f"validations/{pipeline_name}/"
