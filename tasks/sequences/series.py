"""The column `series` as one flat array, without a Python loop over rows or steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ragged import Ragged

SERIES = pa.list_(pa.list_(pa.float32()))


def steps_of(frame: pd.DataFrame, channels: int | None = None) -> Ragged:
    """All steps of all rows, missing and infinite values as NaN; a missing row has no step.

    Args:
        frame: Rows with the column `series`: lists of steps, each a list of channels.
        channels: Channels each step must have; those of the first step where absent.

    Returns:
        float32 values, `(steps, channels)`.

    Raises:
        ValueError: no such column, something else than numbers, or a step with another number
            of channels; names the row.
    """
    rows = _column(frame)
    lengths = pc.list_value_length(rows).fill_null(0).to_numpy().astype(np.int64)
    steps = rows.flatten()
    widths = pc.list_value_length(steps).fill_null(-1).to_numpy()
    if channels is None:
        channels = int(widths[0]) if len(widths) else 0
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    wrong = np.flatnonzero(widths != channels)
    if len(wrong):
        row = int(np.searchsorted(offsets, wrong[0], side="right")) - 1
        got = "no step" if widths[wrong[0]] < 0 else widths[wrong[0]]
        raise ValueError(
            f"row {frame.get('row_id', frame.index.to_series()).iloc[row]!r}, step "
            f"{wrong[0] - offsets[row]}: must have {channels} channels like the other steps, got "
            f"{got}; {len(wrong)} steps are wrong; repair or drop such rows"
        )
    values = steps.flatten().to_numpy(zero_copy_only=False).reshape(len(steps), channels)
    return Ragged(np.where(np.isfinite(values), values, np.float32(np.nan)), offsets)


def _column(frame: pd.DataFrame) -> Any:
    if "series" not in frame:
        raise ValueError(f"rows: need the column 'series', got {list(frame)}")
    try:
        rows = pa.array(frame["series"], SERIES, from_pandas=True)
    except pa.ArrowException as error:
        raise ValueError(
            f"column 'series': each row must be a list of steps, each a list of numbers; {error}"
        ) from None
    return rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
