"""What is held of every row, whatever their number: classes, times, lengths, some 40 bytes a row.

Texts, series and ids are not among it; where a sentence quotes some, they are fetched again.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.audit import audit
from expectations.inputs import is_text
from expectations.rows import Rows, parts_of
from expectations.terms import Terms

WATCHED = ("length", "missing_share", "smallest", "largest", "average")
LEAST_LABEL = 3  # characters from which a label is a word that a text may spell out


class Facts:
    """Audit frames in, one frame of what is held of them out.

    Its columns are those of the audit frame that are kept, `label` and slices as categories,
    and `id` (a hash of `row_id`) and `spelt` (the text holds the label as a word).

    Args:
        terms: The contract; columns that it requires beyond its own are slices.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._names: dict[str, dict[str, int]] = {}
        self._columns: dict[str, NDArray[Any]] = {}
        self._rows = 0

    def add(self, audited: pd.DataFrame) -> None:
        """Keep what is kept of some rows, behind those before."""
        kept = {
            name: audited[name].to_numpy(np.float64)
            for name in WATCHED
            if name in audited and pd.api.types.is_numeric_dtype(audited[name])
        }
        if "age_hours" in audited:
            kept["age_hours"] = audited["age_hours"].to_numpy()
            kept["time"] = audited["time"].dt.tz_convert(None).to_numpy()
        if "repeats" in audited:
            kept["repeats"] = audited["repeats"].to_numpy()
        for name in ("label", *slices_of(self._terms)):
            if name in audited:
                kept[name] = self._codes(name, audited[name])
        if "row_id" in audited:
            ids = audited["row_id"].to_numpy(object)
            kept["id"] = pd.util.hash_array(ids, categorize=False)
        texts = [audited[name] for name in ("label", "text") if name in audited]
        if self._terms.kind == "text" and len(texts) == 2 and all(map(is_text, texts)):
            kept["spelt"] = _spelt(audited)
        first, self._rows = self._rows, self._rows + len(audited)
        for name, values in kept.items():
            column = _room(self._columns.get(name, np.empty(0, values.dtype)), self._rows)
            column[first : self._rows] = values
            self._columns[name] = column

    def frame(self) -> pd.DataFrame:
        """Everything kept."""
        kept = {name: pd.Series(column[: self._rows]) for name, column in self._columns.items()}
        if "time" in kept:
            kept["time"] = kept["time"].dt.tz_localize("UTC")
        for name, names in self._names.items():
            categories = pd.Index(list(names), dtype="str")
            kept[name] = pd.Series(pd.Categorical.from_codes(kept[name].to_numpy(), categories))
        return pd.DataFrame(kept, index=pd.RangeIndex(self._rows))

    def _codes(self, name: str, values: pd.Series) -> NDArray[np.int32]:
        known = self._names.setdefault(name, {})
        codes, found = pd.factorize(values)
        places = [known.setdefault(str(one), len(known)) for one in found]
        return np.array([*places, -1], np.int32)[codes]


def _room(column: NDArray[Any], rows: int) -> NDArray[Any]:
    """The same with room for more rows; a column that grows in place leaves no holes in memory."""
    if len(column) >= rows:
        return column
    larger = np.empty(max(rows, 2 * len(column)), column.dtype)
    larger[: len(column)] = column
    return larger


def facts_of(rows: Rows, terms: Terms) -> pd.DataFrame:
    """What is kept of rows, twins aside."""
    facts = Facts(terms)
    for part in parts_of(rows)():
        facts.add(audit(part, terms, {}))
    return facts.frame()


def slices_of(terms: Terms) -> tuple[str, ...]:
    """Columns that the pipeline names besides those that play a part."""
    return tuple(name for name in terms.required if name not in ("time", "group", "split"))


def tally(values: pd.Series) -> dict[str, int]:
    """Each value that occurs to how often, the most frequent first."""
    return {str(value): int(rows) for value, rows in values.value_counts().items() if rows}


def _spelt(audited: pd.DataFrame) -> NDArray[np.bool_]:
    """Which texts hold their own label as a word."""
    spelt = np.zeros(len(audited), bool)
    for label, places in audited.reset_index(drop=True).groupby("label").groups.items():
        if len(str(label)) >= LEAST_LABEL:
            word = rf"(?<!\w){re.escape(str(label))}(?!\w)"
            texts = audited["text"].iloc[places]
            spelt[places] = texts.str.contains(word, case=False, regex=True, na=False)
    return spelt
