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

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.inputs import input_problem, scalar
from expectations.rows import parts_of
from expectations.series import series_facts
from expectations.terms import Terms
from expectations.twins import Twins

WORD = r"[^\s\p{Z}]+"


def audit(
    frame: pd.DataFrame,
    terms: Terms,
    twins: Mapping[str, NDArray[Any]] | None = None,
    first: int = 0,
) -> pd.DataFrame:
    """Scalar facts of each row, on a RangeIndex (labels then are positions).

    Args:
        frame: Canonical rows, `(rows, columns)`; columns may be missing or retyped, then
            what depends on them is missing here too.
        terms: The contract.
        twins: `repeats` and `conflicts` among more rows than these; absent: among these.
        first: Position of the first row.
    """
    frame = frame.reset_index(drop=True)
    facts = _facts(frame, terms)
    if twins is None:
        (twins,) = Twins.of(parts_of(frame), terms).cut()
    facts.update({name: pd.Series(values) for name, values in twins.items()})
    if "time" in frame and isinstance(frame["time"].dtype, pd.DatetimeTZDtype):
        age = pd.Timestamp(terms.as_of) - frame["time"]
        facts["age_hours"] = age.dt.total_seconds() / 3600
    own = {
        f"column.{name}" if name in facts else str(name): scalar(frame[name])
        for name in frame.columns
        if name != "series"
    }
    audited = pd.DataFrame({**own, **facts}, index=frame.index)
    audited.index = pd.RangeIndex(first, first + len(audited))
    return audited


def _facts(frame: pd.DataFrame, terms: Terms) -> dict[str, pd.Series]:
    if input_problem(frame, terms):
        return {}
    if terms.kind == "numeric":
        return series_facts(frame["series"])
    text = pa.array(scalar(frame["text"]), pa.large_string())
    counts = {"length": pc.count_substring_regex(text, WORD), "characters": pc.utf8_length(text)}
    return {name: pd.Series(n.to_numpy(zero_copy_only=False)) for name, n in counts.items()}
