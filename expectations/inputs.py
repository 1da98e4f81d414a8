"""Whether a column can be read as what the pipeline declares."""

from __future__ import annotations

import pandas as pd

from expectations.series import is_series
from expectations.terms import Terms


def input_problem(frame: pd.DataFrame, terms: Terms) -> str | None:
    """Why the input column cannot be read as what the pipeline declares, or None."""
    if terms.input not in frame:
        return "is missing"
    column = frame[terms.input]
    if terms.kind == "numeric":
        return None if is_series(column) else f"holds {column.dtype}, not lists of lists of numbers"
    return None if is_text(column) else f"holds {column.dtype}, not text"


def is_text(column: pd.Series) -> bool:
    """Whether every value is text or missing."""
    return pd.api.types.is_string_dtype(column.dtype) or str(scalar(column).dtype) == "str"


def scalar(column: pd.Series) -> pd.Series:
    """Text of any storage as pandas' `str`, which is what the type check expects."""
    if column.isna().all() or pd.api.types.is_string_dtype(column):
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            return column
        return column.astype("object").where(column.notna(), None).astype("str")
    return column
