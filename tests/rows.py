"""Pipelines and canonical frames for tests of data, in one line each."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from tasks.config import Pipeline
from tasks.datasets.series import as_series, nested


def pipeline_of(columns, *, slices=(), reader="synthetic", **changes):
    """The smallest pipeline with these columns."""
    return Pipeline.model_validate(
        {
            "name": "trial",
            "source": {"reader": reader},
            "columns": columns,
            "evaluation": {"slices": list(slices)},
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
            **changes,
        }
    )


def texts(*rows, **columns):
    """A canonical frame of (id, label, text); missing ones are None."""
    ids, labels, words = zip(*rows, strict=True) if rows else ((), (), ())
    frame = {"row_id": list(ids), "label": list(labels), "text": list(words)}
    typed = {name: pd.Series(values, dtype="str") for name, values in (frame | columns).items()}
    if "time" in columns:
        times = pd.to_datetime(pd.Series(columns["time"]), utc=True, format="ISO8601")
        typed["time"] = times.dt.as_unit("us")
    return pd.DataFrame(typed)


def series_of(*rows):
    """The `series` column of rows given as lists of steps."""
    channels = len(rows[0][0])
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    values = np.array([step for row in rows for step in row], np.float32).reshape(-1, channels)
    return as_series(nested(values, offsets))


@contextmanager
def small_parts(rows=3, run_bytes=300):
    """Tables are cut, sorted and read a few rows at a time, and runs lie on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.datasets.parts.ROWS_A_PART", rows)
        for reader in ("files", "json_lines"):
            patch.setattr(f"tasks.datasets.{reader}.BLOCK_BYTES", 200)
        patch.setattr("tasks.datasets.sorting.BYTES_A_RUN", run_bytes)
        patch.setattr("tasks.datasets.sorting.ROWS_A_BATCH", max(2, rows // 8))
        yield
