"""What is held of every row, whatever their number: classes, times, lengths, some 40 bytes a row.

Texts, series and ids are not among it; where a sentence quotes some, they are fetched again.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.audit import audit
from expectations.inputs import is_text
from expectations.rows import Rows, parts_of
from expectations.terms import Terms

WATCHED = ("length", "missing_share", "smallest", "largest", "average")
LEAST_LABEL = 3  # characters from which a label is a word that a text may spell out
_KEPT = (*WATCHED, "time", "age_hours", "repeats")


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
        self._parts: list[pd.DataFrame] = []

    def add(self, audited: pd.DataFrame) -> None:
        """Keep what is kept of some rows."""
        kept = {name: audited[name] for name in _KEPT if name in audited}
        for name in ("label", *slices_of(self._terms)):
            if name in audited:
                kept[name] = self._codes(name, audited[name])
        if "row_id" in audited:
            ids = audited["row_id"].to_numpy(object)
            kept["id"] = pd.Series(pd.util.hash_array(ids, categorize=False), audited.index)
        texts = [audited[name] for name in ("label", "text") if name in audited]
        if self._terms.kind == "text" and len(texts) == 2 and all(map(is_text, texts)):
            kept["spelt"] = pd.Series(_spelt(audited), audited.index)
        self._parts.append(pd.DataFrame(kept, index=audited.index))

    def frame(self) -> pd.DataFrame:
        """Everything kept, which is gone from here then."""
        whole, self._parts = pd.concat(self._parts, ignore_index=True), []
        for name, names in self._names.items():
            categories = pd.Index(list(names), dtype="str")
            codes = pd.Categorical.from_codes(whole[name].to_numpy(), categories)
            whole[name] = pd.Series(codes, whole.index)
        return whole

    def _codes(self, name: str, values: pd.Series) -> pd.Series:
        known = self._names.setdefault(name, {})
        codes, found = pd.factorize(values)
        places = [known.setdefault(str(one), len(known)) for one in found]
        return pd.Series(np.array([*places, -1], np.int32)[codes], values.index)


def facts_of(rows: Rows, terms: Terms) -> pd.DataFrame:
    """What is kept of rows, twins aside."""
    facts = Facts(terms)
    for part in parts_of(rows)():
        facts.add(audit(part, terms, {}))
    return facts.frame()


def slices_of(terms: Terms) -> tuple[str, ...]:
    """Columns that the pipeline names besides those that play a part."""
    return tuple(name for name in terms.required if name not in ("time", "group", "split"))


def counted(values: pd.Series) -> dict[str, int]:
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
