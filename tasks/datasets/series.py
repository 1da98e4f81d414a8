"""Numeric series of unequal length as one list column: steps, each a list of channels.

Three layouts are read: *long*, one row a step; *lists*, one row a series; and *wide*, one row a
series of one channel and one column a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc
from pyarrow import types

from model_registry.words import counted
from tasks.datasets.columns import column, floats, ids_in, name_of, numbers_of
from tasks.datasets.errors import DataError

SERIES_TYPE = pa.list_(pa.list_(pa.float32()))


def nested(values: NDArray[np.float32], offsets: NDArray[np.int64]) -> pa.Array:
    """The list column of series.

    Args:
        values: `(steps, channels)` float32, all series in order; NaN where missing.
        offsets: `(rows + 1,)`; row `i` is `values[offsets[i]:offsets[i + 1]]`.

    Returns:
        A `list<list<float>>` array of length `rows`.
    """
    steps, channels = values.shape
    inner = pa.ListArray.from_arrays(
        pa.array(np.arange(steps + 1) * channels, pa.int32()),
        pa.array(np.ascontiguousarray(values, np.float32).ravel()),
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)


def as_series(series: pa.Array) -> pd.Series:
    """The list column as pandas holds it, without a copy."""
    return pd.Series(pd.arrays.ArrowExtensionArray(series))


def flat(series: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of a column that `nested` made: values `(steps, channels)` and offsets `(rows + 1,)`.

    A missing series counts as one of no steps. Every step of a column has as many channels.
    """
    lengths = pc.fill_null(pc.list_value_length(series), 0).to_numpy().astype(np.int64)
    inner = pc.list_flatten(series)
    values = pc.list_flatten(inner).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    channels = len(values) // len(inner) if len(inner) else 1
    return values.reshape(-1, channels), np.concatenate([[0], np.cumsum(lengths)])


@dataclass(frozen=True)
class Long:
    """One row a step, sorted into series.

    Attributes:
        ids: `(series,)`, in the order in which they first appear.
        series: `(series,)` list column.
        first: `(series,)` row of the table that holds the first step of each.
        codes: `(rows,)` which series each row of the table belongs to.
    """

    ids: pa.Array
    series: pa.Array
    first: NDArray[np.int64]
    codes: NDArray[np.int64]


def from_long(table: pa.Table, id_column: str, step: str, channels: Sequence[str]) -> Long:
    """Group one row a step into series, steps in order; no loop over rows.

    Equal rows count once. A channel that is null at a step is NaN there.

    Raises:
        DataError: a row without id or step, a step that cannot be ordered, channels that are no
            numbers, or two different rows for the same step.
    """
    names = series_ids(table, id_column).dictionary_encode()
    codes = names.indices.to_numpy().astype(np.int64)
    order_by = _steps(table, step)
    of = name_of(table, id_column)
    values = np.column_stack([numbers_of(table, name, of=of) for name in channels])
    order = np.lexsort((order_by, codes))
    order = order[_once(order, codes, order_by, values, names.dictionary)]
    counts = np.bincount(codes[order], minlength=len(names.dictionary))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    series = nested(values[order], offsets)
    return Long(names.dictionary, series, order[offsets[:-1]], codes)


def series_ids(table: pa.Table, id_column: str) -> pa.Array:
    """Which series each step belongs to, as text; raises `DataError` where none is given."""
    names = name_of(table, id_column)
    if names.null_count:
        raise DataError(
            f"no {id_column!r} in {counted(names.null_count, 'row')}; each step needs its series"
        )
    return names


def _steps(table: pa.Table, name: str) -> NDArray[Any]:
    steps = column(table, name)
    if steps.null_count:
        raise DataError(
            f"no {name!r} in {counted(steps.null_count, 'row')}; each needs its place in time"
        )
    kind = steps.type
    if types.is_date(kind):
        steps = steps.cast(pa.timestamp("us"))
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_timestamp(kind)):
        raise DataError(
            f"step column {name!r} must hold numbers or times, and it holds {kind}; convert it"
        )
    return np.asarray(steps.to_numpy(zero_copy_only=False))


def _once(
    order: NDArray[np.int64],
    codes: NDArray[np.int64],
    steps: NDArray[Any],
    values: NDArray[np.float32],
    ids: pa.Array,
) -> NDArray[np.bool_]:
    """Which of the sorted rows to keep: the first of equal ones.

    Raises:
        DataError: two rows of one series and step whose channels differ.
    """
    again = np.zeros(len(order), bool)
    here, before = order[1:], order[:-1]
    again[1:] = (codes[here] == codes[before]) & (steps[here] == steps[before])
    at = np.flatnonzero(again)
    now, then = values[order[at]], values[order[at - 1]]
    differ = ~((now == then) | (np.isnan(now) & np.isnan(then))).all(axis=1)
    if differ.any():
        twice = ids.take(pa.array(np.unique(codes[order[at[differ]]])))
        raise DataError(
            f"{int(differ.sum())} steps are there twice with different values, in series "
            f"{ids_in(twice)}; one row a series and step"
        )
    return ~again


def from_lists(table: pa.Table, channels: Sequence[str]) -> pa.Array:
    """Series from list columns: one list a channel, or one column of steps that are lists.

    Raises:
        DataError: a column that holds no lists of numbers, channels of unequal length, or steps
            of an unequal number of channels.
    """
    if len(channels) == 1 and _is_nested_twice(column(table, channels[0])):
        return _from_steps(column(table, channels[0]), channels[0])
    lists = [_list(column(table, name), name) for name in channels]
    present = np.logical_and.reduce(
        [given.is_valid().to_numpy(zero_copy_only=False) for given in lists]
    )
    lengths = [_lengths(given, present) for given in lists]
    for name, own in zip(channels, lengths, strict=True):
        differ = np.flatnonzero(own != lengths[0])
        if len(differ):
            row = int(differ[0])
            raise DataError(
                f"row {row}: {name!r} has {own[row]} steps and {channels[0]!r} has "
                f"{lengths[0][row]}; all channels of a series are of one length"
            )
    kept = [given.filter(pa.array(present)) for given in lists]
    pairs = zip(kept, channels, strict=True)
    values = np.column_stack([floats(pc.list_flatten(g), name) for g, name in pairs])
    return _with_gaps(values, lengths[0], present)


def from_wide(table: pa.Table, steps: Sequence[str]) -> pa.Array:
    """Series of one channel from one column a step; missing values at the end are no steps.

    Raises:
        DataError: a column that holds no numbers.
    """
    values = np.column_stack([numbers_of(table, name, written=True) for name in steps])
    present = ~np.isnan(values)
    last = len(steps) - present[:, ::-1].argmax(axis=1)
    lengths = np.where(present.any(axis=1), last, 0).astype(np.int64)
    kept = np.arange(len(steps)) < lengths[:, None]
    return _with_gaps(values[kept][:, None], lengths, lengths > 0)


def _from_steps(given: pa.Array, name: str) -> pa.Array:
    inner = pc.list_flatten(given)
    sizes = pc.list_value_length(inner).to_numpy(zero_copy_only=False)
    if len(np.unique(sizes)) > 1 or inner.null_count:
        raise DataError(
            f"column {name!r}: every step has the same number of channels; here are steps of "
            f"{ids_in(sorted({str(size) for size in sizes}))}; mend the rows"
        )
    present = given.is_valid().to_numpy(zero_copy_only=False)
    values = floats(pc.list_flatten(inner), name)
    channels = int(sizes[0]) if len(sizes) else 1
    return _with_gaps(values.reshape(-1, channels), _lengths(given, present), present)


def _with_gaps(
    values: NDArray[np.float32], lengths: NDArray[np.int64], present: NDArray[np.bool_]
) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    series = nested(values, offsets)
    return pc.if_else(pa.array(present), series, pa.scalar(None, SERIES_TYPE))


def _lengths(given: pa.Array, present: NDArray[np.bool_]) -> NDArray[np.int64]:
    lengths = pc.fill_null(pc.list_value_length(given), 0).to_numpy().astype(np.int64)
    return np.where(present, lengths, 0)


def _list(given: pa.Array, name: str) -> pa.Array:
    if types.is_null(given.type):
        return given.cast(pa.list_(pa.float32()))
    if not _is_list(given.type):
        raise DataError(
            f"column {name!r} must hold lists of numbers, and it holds {given.type}; set "
            "`columns.step` where one row is one step, or use a Parquet or JSON Lines file"
        )
    return given


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_nested_twice(given: pa.Array) -> bool:
    return _is_list(given.type) and _is_list(given.type.value_type)
