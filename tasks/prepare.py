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
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import task

from infra.settings import Settings
from infra.storage import Storage, open_storage
from tasks.config import Pipeline
from tasks.preparation import SPLITS, Encoded, digest_of_rows, encode, sketch_of_rows
from tasks.questions import of_prepare
from tasks.ragged import Examples
from tasks.references import Prepared, Snapshot
from tasks.steps import digest_of

if TYPE_CHECKING:
    from tasks.sequences.preprocessor import Preprocessor

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
    with ExitStack() as opened:
        rows = opened.enter_context(snapshots.opened(snapshot.key, snapshot.digest, storage))
        unlabelled = None
        if snapshot.unlabelled:
            key = snapshots.key_of(pipeline.name, snapshot.unlabelled)
            texts = snapshots.opened(key, snapshot.unlabelled, storage)
            unlabelled = opened.enter_context(texts)
        return _made(partial(encode, rows, pipeline, unlabelled=unlabelled), directory)


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
        preprocessor = preprocessor_from_json(state)
        same = _encodes(preprocessor, directory / "rows_test.parquet", directory / "test")
        prepared = Prepared.model_validate_json(marker.read_text("utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be used again (%s); it is made anew", directory, error)
        return None
    if not same:
        logger.warning("%s was encoded by other code; it is made anew", directory)
        return None
    return prepared.model_copy(update={"directory": str(directory)})


def _encodes(preprocessor: Preprocessor, rows: Path, arrays: Path) -> bool:
    """Whether it makes of the rows what is stored."""
    from tasks.datasets.rows_file import RowsFile

    stored, first, step = Examples.load(arrays).inputs, 0, 0
    for frame in RowsFile(rows).frames():
        again = preprocessor.encode(frame)
        steps = step + int(again.offsets[-1])
        offsets = stored.offsets[first : first + len(again) + 1] - step
        same = np.array_equal(again.values, stored.values[step:steps])
        if not (same and np.array_equal(again.offsets, offsets)):
            return False
        first, step = first + len(again), steps
    return first == len(stored)


def _made(make: Callable[[Path], Encoded], directory: Path) -> Prepared:
    """Write everything beside, then move it into place, whole or not at all."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    for left in directory.parent.glob(f".{directory.name}-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a night that was killed: one runs at a time
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        encoded = make(scratch)
        for note in encoded.notes:
            logger.warning("prepare: %s", note)
        state = json.dumps(encoded.preprocessor.to_json(), ensure_ascii=False)
        (scratch / "preprocessor.json").write_text(state, "utf-8")
        (scratch / "preparation.json").write_text(_preparation(encoded), "utf-8")
        prepared = _reference(encoded, scratch, directory)
        (scratch / "prepared.json").write_text(prepared.model_dump_json(indent=1), "utf-8")
        if directory.exists():
            shutil.rmtree(directory)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return prepared


def _preparation(encoded: Encoded) -> str:
    content = {
        "classes": encoded.classes,
        "before": encoded.given,
        "after": encoded.kept,
        "copies_of": encoded.copies,
        "notes": encoded.notes,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _reference(encoded: Encoded, written: Path, directory: Path) -> Prepared:
    from tasks.datasets.rows_file import RowsFile

    rows = {split: sum(encoded.kept[split].values()) for split in SPLITS}
    test = RowsFile(written / "rows_test.parquet")
    return Prepared(
        directory=str(directory),
        classes=encoded.classes,
        train_rows=rows["train"],
        validation_rows=rows["validation"],
        test_rows=rows["test"],
        near_duplicates=encoded.copies["test"],
        test_digest=digest_of_rows(test.frames()),
        test_sketch=sketch_of_rows(test.frames()),
    )
