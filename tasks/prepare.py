"""Stage: the clean rows as encoded train, validation and test rows on disk.

`WORK/PIPELINE/prepared/KEY/` holds preprocessor.json, train/, validation/ and test/ (arrays),
vectors.npy where words have vectors learnt without labels, rows_train.parquet and its like for
the other two (raw rows in the order of the arrays), preparation.json (counts and notes) and
prepared.json, written last. KEY is a hash of the rows and of what the pipeline asks for, so the
same question finds the same answer again.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import task

from infra.settings import Settings
from infra.storage import Storage, open_storage
from tasks.config import Pipeline
from tasks.preparation import (
    SPLITS,
    VECTORS,
    Encoded,
    counts,
    digest_of_rows,
    encode,
    sketch_of_rows,
)
from tasks.questions import of_prepare
from tasks.ragged import Examples
from tasks.references import Prepared, Snapshot
from tasks.steps import digest_of

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


@task
def prepare(pipeline: Pipeline, snapshot: Snapshot) -> Prepared:
    """Train, validation and test rows as arrays on disk, the same for the same question."""
    settings = Settings()
    folder = settings.work / pipeline.name / "prepared"
    return prepared_in(folder, pipeline, snapshot, open_storage(settings))


def prepared_in(folder: Path, pipeline: Pipeline, snapshot: Snapshot, storage: Storage) -> Prepared:
    """What `prepare` does, with the places given.

    Raises:
        ConfigError: preprocessing that names no entry of a table, or an unknown option.
        DataError: rows that cannot be split into what training and judging need.
        StorageError: a store that refuses or does not answer.
    """
    from tasks.datasets import snapshots

    directory = folder / _key(pipeline, snapshot)
    finished = _finished(directory)
    if finished is not None:
        logger.info("prepared already: %s", directory)
        return finished
    unlabelled = None
    if snapshot.unlabelled:
        key = snapshots.key_of(pipeline.name, snapshot.unlabelled)
        unlabelled = snapshots.rows_of(key, snapshot.unlabelled, storage)
    encoded = encode(snapshots.load(snapshot, storage), pipeline, unlabelled)
    for note in encoded.notes:
        logger.warning("prepare: %s", note)
    return _save(encoded, directory)


def _key(pipeline: Pipeline, snapshot: Snapshot) -> str:
    """A hash of all that the result depends on."""
    return digest_of(of_prepare(pipeline, snapshot))[:32]


def _finished(directory: Path) -> Prepared | None:
    """What an earlier run left whole, if today's code still encodes its test rows the same."""
    from tasks.sequences.preprocessor import preprocessor_from_json

    marker = directory / "prepared.json"
    if not marker.exists():
        return None
    try:
        state = json.loads((directory / "preprocessor.json").read_text("utf-8"))
        again = preprocessor_from_json(state).encode(read_rows(directory / "rows_test.parquet"))
        stored = Examples.load(directory / "test").inputs
        prepared = Prepared.model_validate_json(marker.read_text("utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be used again (%s); it is made anew", directory, error)
        return None
    if not (
        np.array_equal(again.values, stored.values)
        and np.array_equal(again.offsets, stored.offsets)
    ):
        logger.warning("%s was encoded by other code; it is made anew", directory)
        return None
    return prepared.model_copy(update={"directory": str(directory)})


def _save(encoded: Encoded, directory: Path) -> Prepared:
    """Write everything beside, then move it into place, whole or not at all."""
    from tasks.datasets.contents import write_rows
    from tasks.datasets.splits import units_of

    directory.parent.mkdir(parents=True, exist_ok=True)
    for left in directory.parent.glob(f".{directory.name}-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a night that was killed: one runs at a time
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        for split in SPLITS:
            encoded.examples[split].save(scratch / split)
            if "group" in encoded.rows[split]:
                groups = units_of(encoded.rows[split]).to_numpy().astype(np.str_)
                np.save(scratch / split / "groups.npy", groups, allow_pickle=False)
        if encoded.vectors is not None:
            np.save(scratch / VECTORS, encoded.vectors, allow_pickle=False)
        for split in SPLITS:
            write_rows(encoded.rows[split], scratch / f"rows_{split}.parquet")
        state = json.dumps(encoded.preprocessor.to_json(), ensure_ascii=False)
        (scratch / "preprocessor.json").write_text(state, "utf-8")
        (scratch / "preparation.json").write_text(_preparation(encoded), "utf-8")
        prepared = _reference(encoded, directory)
        (scratch / "prepared.json").write_text(prepared.model_dump_json(indent=1), "utf-8")
        if directory.exists():
            shutil.rmtree(directory)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return prepared


def read_rows(path: Path) -> pd.DataFrame:
    """The frame that `contents.write_rows` wrote."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    frame: pd.DataFrame = parquet.read_table(path).to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None
    )
    return frame


def _preparation(encoded: Encoded) -> str:
    after = {split: counts(encoded.rows[split]) for split in SPLITS}
    content = {
        "classes": encoded.classes,
        "before": encoded.given,
        "after": after,
        "copies_of": encoded.copies,
        "notes": encoded.notes,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _reference(encoded: Encoded, directory: Path) -> Prepared:
    rows = {split: len(encoded.rows[split]) for split in SPLITS}
    return Prepared(
        directory=str(directory),
        classes=encoded.classes,
        train_rows=rows["train"],
        validation_rows=rows["validation"],
        test_rows=rows["test"],
        near_duplicates=encoded.copies["test"],
        test_digest=digest_of_rows(encoded.rows["test"]),
        test_sketch=sketch_of_rows(encoded.rows["test"]),
    )
