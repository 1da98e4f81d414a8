"""Stage: the snapshot against its contract; bad rows to quarantine, bad batches refused.

`quarantine/PIPELINE/DATE.parquet` holds the bad rows with their reasons, and
`validations/PIPELINE/DATE.json` what an accepted night held: later nights learn from those
only, so that a batch that was refused never becomes what is usual.
"""

from __future__ import annotations

import io
import json
import logging
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prefect import task

from infra.settings import Settings
from infra.storage import Storage, StorageError, open_storage
from tasks.config import ConfigError, Pipeline
from tasks.references import Finding, Snapshot, Validated

if TYPE_CHECKING:
    from expectations.rows import Parts
    from expectations.terms import History, Report
    from tasks.datasets.rows_file import RowsFile

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
    from expectations.terms import SuiteError
    from expectations.validation import check
    from tasks.datasets import snapshots
    from tasks.datasets.canonical import end_of
    from tasks.terms import terms_of

    suite = _suite(pipeline)
    with ExitStack() as opened:
        rows = opened.enter_context(snapshots.opened(snapshot.key, snapshot.digest, storage))
        history = history_of(pipeline.name, logical_date, storage, opened)
        learnt = (label for night in history.nights for label in night.classes)
        terms = terms_of(pipeline, end_of(logical_date), learnt, now=now)
        try:
            report = check(
                rows.frames, terms, suite, history=history, docs_dir=docs,
                dropped=snapshot.duplicates,
            )  # fmt: skip
        except SuiteError as error:
            raise ConfigError(f"contract.suite: {error}") from None
        key = _quarantine(rows, report, pipeline.name, logical_date, storage)
        clean = None
        if report.accepted:
            clean = _accepted(rows, report, snapshot, pipeline.name, logical_date, storage)
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


def _accepted(
    rows: RowsFile,
    report: Report,
    snapshot: Snapshot,
    pipeline_name: str,
    logical_date: date,
    storage: Storage,
) -> Snapshot:
    """The clean rows, noted for later nights."""
    bad = np.zeros(rows.rows, bool)
    bad[report.bad_rows.index] = True
    clean, classes = snapshot_of(rows, bad, snapshot, pipeline_name, storage)
    day = logical_date.isoformat()
    note = {"date": day, "rows": rows.rows, "classes": classes, "clean": clean.model_dump()}
    storage.put(f"{_notes(pipeline_name)}{day}.json", json.dumps(note, indent=1).encode())
    return clean


def _suite(pipeline: Pipeline) -> list[dict[str, Any]] | None:
    from expectations.suites import read_suite
    from expectations.terms import SuiteError

    try:
        return read_suite(Path(pipeline.contract.suite)) if pipeline.contract.suite else None
    except SuiteError as error:
        raise ConfigError(f"contract.suite: {error}") from None


def history_of(
    pipeline_name: str, logical_date: date, storage: Storage, opened: ExitStack
) -> History:
    """The nights before a date whose batch was accepted, and the rows of the last of them.

    Args:
        pipeline_name: Of the pipeline.
        logical_date: Tonight's, which is not among them.
        storage: Where snapshots are.
        opened: Keeps the rows at hand.
    """
    from expectations.terms import History, Night

    folder = _notes(pipeline_name)
    dates = (key.removeprefix(folder).removesuffix(".json") for key in storage.keys(folder))
    last = [day for day in dates if day < logical_date.isoformat()][-NIGHTS:]
    notes = [json.loads(storage.get(f"{folder}{day}.json")) for day in last]
    nights = tuple(Night(note["date"], note["rows"], note["classes"]) for note in notes)
    return History(nights, _reference(notes[-1]["clean"], storage, opened) if notes else None)


def _reference(clean: dict[str, object], storage: Storage, opened: ExitStack) -> Parts | None:
    from tasks.datasets import snapshots
    from tasks.datasets.errors import DataError

    snapshot = Snapshot.model_validate(clean)
    rows = snapshots.opened(snapshot.key, snapshot.digest, storage)
    try:
        return opened.enter_context(rows).frames
    except (StorageError, DataError) as error:
        logger.warning("no comparison with the night before: %s", error)
        return None


def _quarantine(
    rows: RowsFile, report: Report, pipeline_name: str, logical_date: date, storage: Storage
) -> str | None:
    """Where the bad rows went; None where there are none."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    from tasks.datasets.contents import arrow
    from tasks.datasets.rows_file import framed

    if report.bad_rows.empty:
        return None
    stays = np.ones(rows.rows, bool)
    stays[report.bad_rows.index] = False
    bad = pd.concat(map(framed, rows.without(stays)), ignore_index=True)
    bad["reason"] = report.bad_rows["reason"].array
    content = io.BytesIO()
    parquet.write_table(pa.table({str(name): arrow(bad[name]) for name in bad.columns}), content)
    key = f"quarantine/{pipeline_name}/{logical_date.isoformat()}.parquet"
    storage.put(key, content.getvalue())
    return key


def snapshot_of(
    rows: RowsFile,
    dropped: NDArray[np.bool_],
    snapshot: Snapshot,
    pipeline_name: str,
    storage: Storage,
) -> tuple[Snapshot, dict[str, int]]:
    """A snapshot's rows without some, as a snapshot again; the same one where all stay.

    Args:
        rows: Of the snapshot.
        dropped: Which of them do not stay, `(rows,)`.
        snapshot: Where they come from.
        pipeline_name: Of the pipeline.
        storage: Where snapshots are.

    Returns:
        The snapshot, and the rows of each class in it.
    """
    from tasks.datasets import snapshots
    from tasks.datasets.rows_file import RowsFile

    if not dropped.any():
        return snapshot, rows.labels_and_newest()[0]
    with snapshots.scratch() as folder:
        kept = RowsFile.written(folder / "rows.parquet", rows.without(dropped))
        digest, key = snapshots.keep(kept, pipeline_name, storage)
        classes, newest = kept.labels_and_newest()
    update = {
        "key": key,
        "digest": digest,
        "rows": kept.rows,
        "new_rows": min(snapshot.new_rows, kept.rows),
        "newest": newest,
    }
    return snapshot.model_copy(update=update), classes


def _notes(pipeline_name: str) -> str:
    return f"validations/{pipeline_name}/"
