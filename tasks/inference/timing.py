"""What one raw row alone costs a candidate, before one is chosen: as the gate will have it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.config import Pipeline
from tasks.inference.assembly import assemble
from tasks.inference.fresh import score_in_fresh_process
from tasks.references import Prepared, Trained

TIMED_ROWS = 32


def timed_rows(count: int) -> NDArray[np.int64]:
    """The rows that are timed, of so many: at most `TIMED_ROWS`, evenly spread."""
    return np.linspace(0, count - 1, min(TIMED_ROWS, count)).round().astype(np.int64)


def milliseconds_alone(
    pipeline: Pipeline, prepared: Prepared, candidate: Trained, *, key: Path
) -> float:
    """Of one raw row: a sealed bundle in a fresh process, the same test rows, warm.

    Args:
        pipeline: Goes into the bundle.
        prepared: The night's rows.
        candidate: A trained one.
        key: The signing key.

    Raises:
        BundleRefused: the bundle would not be accepted by a reader.
        ScoringFailed: it does not answer its golden rows as training did.
    """
    import pyarrow.parquet as pq

    home = Path(prepared.directory)
    folder = home.parents[1] / "timing"
    assemble(
        Path(candidate.directory),
        home,
        prepared.classes,
        pipeline.model_dump(mode="json"),
        into=folder / "bundle",
        key=key,
    )
    rows = pq.read_table(home / "rows_test.parquet")
    few = folder / "rows.parquet"
    pq.write_table(rows.take(timed_rows(len(rows))), few)
    scores = score_in_fresh_process(folder / "bundle", few, folder / "scores.npy")
    shutil.rmtree(folder)
    return scores.milliseconds_one_row
