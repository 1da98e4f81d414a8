"""What a row says, as a fingerprint: equal inputs have equal ones, in any order of rows."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tasks.datasets.series import flat


def input_name(frame: pd.DataFrame) -> str:
    """The column of a canonical frame that holds the input: `text` or `series`."""
    return "text" if "text" in frame.columns else "series"


def fingerprints(inputs: pd.Series) -> NDArray[np.object_]:
    """A sha256 (hexadecimal) of each input, `(rows,)`; None where the input is missing.

    Args:
        inputs: The `text` or `series` column of a canonical frame.
    """
    if isinstance(inputs.dtype, pd.ArrowDtype):
        prints = _of_series(inputs)
    else:
        prints = [hashlib.sha256((text or "").encode()).hexdigest() for text in plain(inputs)]
    found = np.array(prints, object)
    found[inputs.isna().to_numpy()] = None
    return found


def numbers(prints: Iterable[str | None]) -> NDArray[np.uint64]:
    """The first 64 bits of each fingerprint, `(rows,)`; 0 where the input is missing."""
    digits = "".join([(one or "0" * 16)[:16] for one in prints])
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)


def among(ours: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of our numbers are among theirs, which are sorted; 0 never is."""
    if not len(theirs):
        return np.zeros(len(ours), bool)
    at = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    found: NDArray[np.bool_] = (theirs[at] == ours) & (ours > 0)
    return found


def plain(values: pd.Series) -> list[str | None]:
    """A column of text as Python knows it; None where missing."""
    return [text if isinstance(text, str) else None for text in values.tolist()]


def arrow(series: pd.Series) -> pa.Array:
    """A column of a frame as one Arrow array."""
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        naive = series.dt.tz_convert(None).dt.as_unit("us").to_numpy()
        return pa.array(naive).cast(pa.timestamp("us", "UTC"))
    values = pa.Array.from_pandas(series)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks() if values.num_chunks else pa.array([], values.type)
    return values


def settled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same numbers with one bit pattern for each: one NaN, and no negative zero."""
    return np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))


def _of_series(inputs: pd.Series) -> list[str]:
    values, offsets = flat(arrow(inputs))
    rows = settled(values).astype("<f4").tobytes()
    width = 4 * values.shape[1]
    shape = f"{values.shape[1]}:".encode()
    bounds = (offsets * width).tolist()
    return [
        hashlib.sha256(shape + rows[start:end]).hexdigest()
        for start, end in itertools.pairwise(bounds)
    ]


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """A canonical frame as Parquet, without pandas' notes: it cannot read its own on lists."""
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    parquet.write_table(table.replace_schema_metadata(None), path)
