"""Taking in a night's rows: source → canonical → without duplicates → snapshot."""

from __future__ import annotations

import logging
from datetime import date

import pandas as pd

from infra.storage import NotFound, Storage
from tasks.config import Pipeline
from tasks.datasets import snapshots
from tasks.datasets.canonical import canonical, end_of, read, table_of
from tasks.datasets.contents import fingerprints
from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.snapshots import NightRows
from tasks.references import Snapshot

logger = logging.getLogger(__name__)


def take_in(pipeline: Pipeline, logical_date: date, storage: Storage) -> Snapshot:
    """Read a pipeline's source up to a date and store what it says.

    Raises:
        ConfigError: a reader or option that does not fit.
        DataError: a source that cannot be read, or rows that contradict the pipeline.
        StorageError: a store that refuses or does not answer.
    """
    frame, duplicates = without_duplicates(read(pipeline, logical_date))
    digest, key = snapshots.write(frame, pipeline.name, storage)
    night = NightRows(
        date=logical_date.isoformat(),
        digest=digest,
        rows=len(frame),
        new_rows=_new_rows(frame, pipeline.name, logical_date, storage),
        class_counts=_counts(frame["label"]),
        newest=_newest(frame),
    )
    snapshots.note(night, pipeline.name, storage)
    logger.info(
        "%s: %d rows (%d new), %d duplicates dropped, snapshot %s",
        pipeline.name, night.rows, night.new_rows, duplicates, digest[:12],
    )  # fmt: skip
    return Snapshot(
        key=key,
        digest=digest,
        rows=night.rows,
        new_rows=night.new_rows,
        duplicates=duplicates,
        newest=night.newest,
        unlabelled=_unlabelled(pipeline, logical_date, storage),
    )


def _unlabelled(pipeline: Pipeline, logical_date: date, storage: Storage) -> str | None:
    """Keep the texts that have no label; each text once. Returns the digest of their snapshot."""
    choice = pipeline.source.unlabelled
    if choice is None or pipeline.kind != "text":
        return None
    table = table_of(choice, end_of(logical_date))
    texts = canonical(table, pipeline, need_labels=False)["text"].dropna().drop_duplicates()
    ids = pd.Series(fingerprints(texts), texts.index, dtype="str")
    frame = pd.DataFrame({"row_id": ids, "text": texts}).drop_duplicates("row_id")
    digest, _ = snapshots.write(frame, pipeline.name, storage)
    logger.info("%s: %d texts without labels, snapshot %s", pipeline.name, len(frame), digest[:12])
    return digest


def _new_rows(frame: pd.DataFrame, name: str, logical_date: date, storage: Storage) -> int:
    before = snapshots.recent(name, storage, logical_date, limit=1)
    if not before:
        return len(frame)
    try:
        known = snapshots.row_ids(snapshots.key_of(name, before[0].digest), storage)
    except NotFound:
        logger.warning(
            "%s: the snapshot of %s is gone; all rows count as new", name, before[0].date
        )
        return len(frame)
    return int((~frame["row_id"].isin(known)).sum())


def _counts(labels: pd.Series) -> dict[str, int]:
    return {str(label): int(rows) for label, rows in labels.value_counts().sort_index().items()}


def _newest(frame: pd.DataFrame) -> str | None:
    newest = frame["time"].max() if "time" in frame else pd.NaT
    return None if pd.isna(newest) else str(newest.isoformat())
