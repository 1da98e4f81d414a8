"""Taking in a night's rows: source → canonical → without duplicates → snapshot.

A part of the rows is in memory at a time; what grows with them is said at
`duplicates.distinct`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date

import pandas as pd
import pyarrow as pa

from infra.storage import NotFound, Storage
from tasks.config import Choice, Pipeline
from tasks.datasets import snapshots
from tasks.datasets.canonical import canonical, end_of
from tasks.datasets.contents import fingerprints
from tasks.datasets.duplicates import distinct
from tasks.datasets.known_ids import known
from tasks.datasets.reading import frames, tables
from tasks.datasets.rows_file import RowsFile, framed, typed
from tasks.datasets.snapshots import NightRows
from tasks.datasets.sorting import Sorter
from tasks.references import Snapshot

logger = logging.getLogger(__name__)


def take_in(pipeline: Pipeline, logical_date: date, storage: Storage) -> Snapshot:
    """Read a pipeline's source up to a date and store what it says.

    Raises:
        ConfigError: a reader or option that does not fit.
        DataError: a source that cannot be read, or rows that contradict the pipeline.
        StorageError: a store that refuses or does not answer.
    """
    with snapshots.scratch() as folder:
        rows = Sorter(folder)
        for frame in frames(pipeline, logical_date):
            rows.add(typed(frame))
        kept, duplicates = distinct(rows.merged(), folder)
        digest, key = snapshots.keep(kept, pipeline.name, storage)
        counts, newest = kept.labels_and_newest()
        night = NightRows(
            date=logical_date.isoformat(),
            digest=digest,
            rows=kept.rows,
            new_rows=_new_rows(kept, pipeline.name, logical_date, storage),
            class_counts=dict(sorted(counts.items())),
            newest=newest,
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
    with snapshots.scratch() as folder:
        rows = Sorter(folder)
        for texts in _texts(choice, pipeline, logical_date):
            rows.add(typed(texts))
        kept = RowsFile.written(folder / "texts.parquet", map(_once, rows.merged()))
        digest, _ = snapshots.keep(kept, pipeline.name, storage)
        told = pipeline.name, kept.rows, digest[:12]
        logger.info("%s: %d texts without labels, snapshot %s", *told)
    return digest


def _texts(choice: Choice, pipeline: Pipeline, logical_date: date) -> Iterator[pd.DataFrame]:
    """Texts under their fingerprints, each once in a part."""
    for table in tables(choice, end_of(logical_date)):
        texts = canonical(table, pipeline, need_labels=False)["text"].dropna().drop_duplicates()
        ids = pd.Series(fingerprints(texts), texts.index, dtype="str")
        yield pd.DataFrame({"row_id": ids, "text": texts})


def _once(table: pa.Table) -> pa.Table:
    again = framed(table.select(["row_id"])).duplicated().to_numpy()
    return table.filter(pa.array(~again))


def _new_rows(rows: RowsFile, name: str, logical_date: date, storage: Storage) -> int:
    before = snapshots.recent(name, storage, logical_date, limit=1)
    if not before:
        return rows.rows
    earlier = snapshots.ids_of(snapshots.key_of(name, before[0].digest), storage)
    try:
        seen = sum(int(found.sum()) for found in known(rows.ids(), earlier))
    except NotFound:
        logger.warning(
            "%s: the snapshot of %s is gone; all rows count as new", name, before[0].date
        )
        return rows.rows
    return rows.rows - seen
