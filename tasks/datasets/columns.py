"""Columns of a source as what the canonical frame needs: text, labels, times, channels."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc
from pyarrow import types

from model_registry.words import counted
from tasks.datasets.errors import DataError
from tasks.misfits import unknown

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}


def column(table: pa.Table, name: str) -> pa.Array:
    """One column in one piece, dictionaries decoded.

    Raises:
        DataError: the table has no such column; the nearest one is named.
    """
    if name not in table.column_names:
        hint = unknown("column", name, table.column_names).partition("; ")[2]
        raise DataError(f"source has no column {name!r}; {hint}")
    if table.column_names.count(name) > 1:
        raise DataError(f"source has several columns {name!r}; rename all but one")
    values = table.column(name).combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # no chunk at all
        values = pa.array([], values.type)
    return pc.cast(values, values.type.value_type) if _is_dictionary(values) else values


def text_of(table: pa.Table, name: str) -> pa.Array:
    """A column that must be text already; nulls stay.

    Raises:
        DataError: any other type, because a retyped column is a broken export.
    """
    values = column(table, name)
    if not (types.is_null(values.type) or _is_text(values.type)):
        raise DataError(f"column {name!r} must be text, and it holds {_told(values.type)}")
    return values.cast(pa.large_string())


def name_of(table: pa.Table, name: str) -> pa.Array:
    """A column of names (ids, labels, groups) as text: 1 and 1.0 are "1"; nulls stay.

    Raises:
        DataError: lists, structures or bytes.
    """
    values = column(table, name)
    if types.is_nested(values.type) or types.is_binary(values.type):
        held = _told(values.type)
        raise DataError(f"column {name!r} must hold names or numbers, and it holds {held}")
    if types.is_floating(values.type) or types.is_decimal(values.type):
        return _numbers_as_names(values)
    return values.cast(pa.large_string())


def label_of(table: pa.Table, name: str) -> pa.Array:
    """As `name_of`; an empty label is none."""
    labels = name_of(table, name)
    return pc.if_else(pc.equal(labels, ""), pa.scalar(None, labels.type), labels)


def split_of(table: pa.Table, name: str) -> pa.Array:
    """The official split of each row as train, validation or test.

    Raises:
        DataError: a value that is none of the names in use, or no value.
    """
    given = name_of(table, name)
    kinds = pc.utf8_lower(pc.utf8_trim_whitespace(given)).to_pandas().map(SPLITS)
    bad = given.filter(pa.array(kinds.isna(), pa.bool_()))
    if len(bad):
        raise DataError(
            f"split column {name!r}: each value is one of {', '.join(SPLITS)}; "
            f"{counted(len(bad), 'row')} with {_some(bad.unique().to_pylist())}"
        )
    return pa.array(kinds, pa.large_string())


def times_of(table: pa.Table, name: str) -> pd.Series:
    """A column of times in UTC, `datetime64[us, UTC]`; naive ones are UTC, unreadable ones NaT.

    Raises:
        DataError: numbers, whose unit is not known.
    """
    values = column(table, name)
    dated = types.is_timestamp(values.type) or types.is_date(values.type)
    if not (dated or _is_text(values.type) or types.is_null(values.type)):
        raise DataError(
            f"time column {name!r} must hold times or ISO 8601 text, and it holds {values.type}; "
            "convert it in the source"
        )
    if not _is_text(values.type):
        zone = getattr(values.type, "tz", None)
        values = values.cast(pa.timestamp("us", zone), safe=False)
    stamps = pd.to_datetime(values.to_pandas(), utc=True, errors="coerce", format="ISO8601")
    times: pd.Series = stamps.dt.as_unit("us")
    return times


def numbers_of(
    table: pa.Table, name: str, *, written: bool = False, of: pa.Array | None = None
) -> NDArray[np.float32]:
    """A column of numbers, `(rows,)` float32; a null is NaN.

    Args:
        table: Holds it.
        name: Of the column.
        written: Numbers that are written as text, as scoring reads a CSV file, count too.
        of: What each row belongs to, `(rows,)` text, for messages.

    Raises:
        DataError: text or any other type.
    """
    values = column(table, name)
    if written and _is_text(values.type):
        with contextlib.suppress(pa.ArrowInvalid):  # `floats` says which value is no number
            values = pc.utf8_trim_whitespace(values).cast(pa.float64())
    return floats(values, name, of)


def floats(values: pa.Array, name: str, of: pa.Array | None = None) -> NDArray[np.float32]:
    """Arrow numbers as float32; a null is NaN. Raises as `numbers_of`."""
    kind = values.type
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if not (numeric or types.is_decimal(kind) or types.is_null(kind)):
        raise DataError(
            f"column {name!r} must hold numbers, and it holds {kind}{_example(values, of)}; "
            "mend the source, or convert it there (an empty cell is a missing value)"
        )
    numbers = values.cast(pa.int8()) if types.is_boolean(kind) else values
    wide = numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        return np.asarray(wide, np.float32)


def mostly_numbers(table: pa.Table, name: str) -> bool:
    """Whether more values of a column of text are numbers than not."""
    given = [str(value) for value in column(table, name).drop_null().to_pylist()]
    return 2 * sum(map(_no_number, given)) < len(given)


def _example(values: pa.Array, of: pa.Array | None) -> str:
    """The first value that is no number, and whose it is."""
    given = ((at, str(value.as_py())) for at, value in enumerate(values) if value.is_valid)
    at, first = next(((at, value) for at, value in given if _no_number(value)), (0, ""))
    whose = f" of {of[at].as_py()!r}" if of is not None else ""
    return f" ({first[:40]!r}{whose})" if first else ""


def _no_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return True
    return False


def ids_in(values: list[Any] | pa.Array) -> str:
    """A few ids for a message."""
    return _some(values.to_pylist() if isinstance(values, pa.Array) else values)


def _some(values: list[Any], most: int = 5) -> str:
    shown = ", ".join(repr(value) for value in values[:most])
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown


def _numbers_as_names(values: pa.Array) -> pa.Array:
    """1.0 as "1" and 1.5 as "1.5"; NaN is no name."""
    numbers = pd.Series(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    named = {
        value: f"{value:.0f}" if value.is_integer() else str(value)
        for value in numbers.dropna().unique()
    }
    return pa.array(numbers.map(named), pa.large_string(), from_pandas=True)


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _told(kind: pa.DataType) -> str:
    """A wrong type and what to do; text in another encoding is read as bytes."""
    if types.is_binary(kind):
        return "bytes that are no UTF-8; set `encoding` of a CSV reader, or see its source"
    return f"{kind}; see its source"


def _is_dictionary(values: pa.Array) -> bool:
    return bool(types.is_dictionary(values.type))
