"""The audit frame: one row of scalar facts for each canonical row, what suites are written on.

Great Expectations judges columns of scalars, so a text or a series is summarised first. A suite
may name the canonical columns (`row_id`, `label`, `text`, `time`, `group`, `split`, slices) and:

    length         words of the text, or steps of the series; missing where the input is
    characters     of the text
    channels       of each step; -1 where steps differ           (numeric)
    missing_share  of the values                                 (numeric)
    infinite       number of infinite values                     (numeric)
    sentinels      values like 9999 or -999, far outside the channel's own range   (numeric)
    smallest, largest, average    over the finite values         (numeric)
    repeats        earlier rows with the same input and label
    conflicts      other labels that rows with the same input carry; 0 for the validation and
                   test rows of an official split, which stay as they were given
    age_hours      from `time` to the end of the logical date

A source column that bears one of these names is found as `column.NAME`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.series import fingerprints, is_series, series_facts
from expectations.terms import Terms

WORD = r"[^\s\p{Z}]+"


def audit(frame: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Scalar facts of each row, on a fresh RangeIndex (labels then are positions).

    Args:
        frame: Canonical rows, `(rows, columns)`; columns may be missing or retyped, then
            what depends on them is missing here too.
        terms: The contract.
    """
    frame = frame.reset_index(drop=True)
    facts = _facts(frame, terms)
    facts.update(_twins(frame, terms))
    if "time" in frame and isinstance(frame["time"].dtype, pd.DatetimeTZDtype):
        age = pd.Timestamp(terms.as_of) - frame["time"]
        facts["age_hours"] = age.dt.total_seconds() / 3600
    own = {
        f"column.{name}" if name in facts else str(name): _scalar(frame[name])
        for name in frame.columns
        if name != "series"
    }
    return pd.DataFrame({**own, **facts}, index=frame.index)


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
    return pd.api.types.is_string_dtype(column.dtype) or str(_scalar(column).dtype) == "str"


def _facts(frame: pd.DataFrame, terms: Terms) -> dict[str, pd.Series]:
    if input_problem(frame, terms):
        return {}
    if terms.kind == "numeric":
        return series_facts(frame["series"])
    text = pa.array(_scalar(frame["text"]), pa.large_string())
    counts = {"length": pc.count_substring_regex(text, WORD), "characters": pc.utf8_length(text)}
    return {name: pd.Series(n.to_numpy(zero_copy_only=False)) for name, n in counts.items()}


def _twins(frame: pd.DataFrame, terms: Terms) -> dict[str, pd.Series]:
    """How often a row repeats an earlier one, and how many labels contradict its own."""
    if input_problem(frame, terms) or "label" not in frame or not is_text(frame["label"]):
        return {}
    label = _scalar(frame["label"])
    keys = pd.DataFrame({"input": _input_keys(frame, terms), "label": pd.factorize(label)[0]})
    repeats = keys.groupby(["input", "label"]).cumcount()
    distinct = keys[keys["label"] >= 0].drop_duplicates().groupby("input").size()
    others = keys["input"].map(distinct).fillna(1).astype("int64") - 1
    known = keys["input"] >= 0
    if "split" in frame:  # an official split keeps its validation and test rows
        others = others.where(frame["split"] == "train", 0)
    return {"repeats": repeats.where(known, 0), "conflicts": others.where(known, 0)}


def _input_keys(frame: pd.DataFrame, terms: Terms) -> NDArray[np.int64]:
    """Equal numbers for equal inputs, `(rows,)`; -1 where it is missing or blank."""
    column = frame[terms.input]
    keys = fingerprints(column) if terms.kind == "numeric" else _scalar(column).str.strip()
    keys = keys.mask(keys == "")
    return np.asarray(pd.factorize(keys)[0], np.int64)


def _scalar(column: pd.Series) -> pd.Series:
    """Text of any storage as pandas' `str`, which is what the type check expects."""
    if column.isna().all() or pd.api.types.is_string_dtype(column):
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            return column
        return column.astype("object").where(column.notna(), None).astype("str")
    return column
