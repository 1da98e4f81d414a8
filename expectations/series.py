"""Facts of numeric series, computed on their flat values (no loop over steps)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SENTINELS = np.array([s * v for v in (999, 9999, 99999, 999999) for s in (1, -1)], "float32")
SPREADS = 5  # interquartile ranges beyond which a code such as 9999 is no measurement
SAMPLE = 200_000


@dataclass(frozen=True)
class _Flat:
    """All values of all rows in order.

    Attributes:
        values: `(values,)` float32, missing ones NaN.
        starts: `(rows + 1,)` where each row's values begin.
        steps: `(rows,)`; -1 where the row holds no series.
        widths: `(all steps,)` channels of each step.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    steps: NDArray[np.int64]
    widths: NDArray[np.int64]

    @property
    def step_starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.steps.clip(0))])


def is_series(column: pd.Series) -> bool:
    """Whether the column holds lists of lists of numbers (or nothing at all)."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return False
    outer = column.dtype.pyarrow_dtype
    if not _is_list(outer) or not _is_list(outer.value_type):
        return False
    inner = outer.value_type.value_type
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _flat(column: pd.Series) -> _Flat:
    lists = pa.array(column)
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    steps = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    inner = pc.list_flatten(lists)
    widths = pc.fill_null(pc.list_value_length(inner), 0).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(inner).cast(pa.float32()).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])
    rows = np.concatenate([[0], np.cumsum(np.clip(steps, 0, None), dtype=np.int64)])
    return _Flat(flat, ends[rows], steps.astype(np.int64), widths.astype(np.int64))


def series_facts(column: pd.Series) -> dict[str, pd.Series]:
    """Length, channels, gaps and range of each series; the names are `audit`'s.

    Args:
        column: `(rows,)` lists of steps, each a list of channels.
    """
    flat = _flat(column)
    counts = np.diff(flat.starts)
    finite = np.isfinite(flat.values)
    known = np.where(finite, flat.values, np.nan)
    missing = _sums(np.isnan(flat.values), flat.starts)
    present = _sums(finite, flat.starts)
    total = _sums(np.nan_to_num(known), flat.starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        facts = {
            "length": np.where(flat.steps < 0, np.nan, flat.steps),
            "channels": _channels(flat),
            "missing_share": np.where(counts > 0, missing / counts, 0.0),
            "infinite": counts - missing - present,
            "sentinels": _sums(_sentinels(flat), flat.starts),
            "smallest": _reduce(np.fmin, known, flat.starts),
            "largest": _reduce(np.fmax, known, flat.starts),
            "average": np.where(present > 0, total / present, np.nan),
        }
    return {name: pd.Series(values) for name, values in facts.items()}


def fingerprints(column: pd.Series) -> pd.Series:
    """The same name for equal series, `(rows,)`; missing where there is none or no step."""
    flat = _flat(column)
    values = np.where(np.isnan(flat.values), np.float32(np.nan), flat.values).astype(np.float32)
    data, starts = values.tobytes(), flat.starts * 4
    prints = [
        None
        if steps < 1
        else hashlib.blake2b(data[a:b], digest_size=12, salt=b"%d" % steps).hexdigest()
        for a, b, steps in zip(starts[:-1], starts[1:], flat.steps.tolist(), strict=True)
    ]
    return pd.Series(prints, dtype="str")


def _channels(flat: _Flat) -> NDArray[np.int64]:
    """Channels of a row's steps, `(rows,)`; -1 where they differ, 0 where it has no step."""
    low = _reduce(np.fmin, flat.widths.astype(float), flat.step_starts)
    high = _reduce(np.fmax, flat.widths.astype(float), flat.step_starts)
    return np.where(np.isnan(low), 0, np.where(low == high, low, -1)).astype(np.int64)


def _sentinels(flat: _Flat) -> NDArray[np.bool_]:
    """Which values are a code for "no value" rather than a measurement, `(values,)`."""
    found = np.isin(flat.values, SENTINELS)
    if not found.any():
        return found
    width = int(flat.widths[0]) if len(set(np.unique(flat.widths))) == 1 else 1
    table, codes = flat.values.reshape(-1, width), found.reshape(-1, width)
    for channel in range(width):
        values = table[:: max(1, len(table) // SAMPLE), channel]
        values = values[np.isfinite(values) & ~np.isin(values, SENTINELS)]
        if not len(values):
            continue
        low, high = np.percentile(values, [25, 75])
        reach = SPREADS * max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
        inside = (table[:, channel] >= low - reach) & (table[:, channel] <= high + reach)
        codes[:, channel] &= ~inside
    return codes.reshape(-1)


def _sums(values: NDArray[np.generic], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of each row's values, `(rows,)`; 0 for an empty row."""
    running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(running[starts[1:]] - running[starts[:-1]])


def _reduce(
    function: np.ufunc, values: NDArray[np.floating], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """`function` over each row's values, `(rows,)`; NaN for an empty row."""
    result = np.full(len(starts) - 1, np.nan)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        result[filled] = function.reduceat(values, starts[filled])
    return result
