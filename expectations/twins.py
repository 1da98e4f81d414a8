"""Rows with equal inputs: how often one repeats an earlier one, how many labels contradict its own.

Inputs are compared by 96 bits of a hash, so that rows may come in parts: 16 bytes a row are held,
and as much again for rows whose input is there twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.inputs import input_problem, is_text, scalar
from expectations.rows import Parts
from expectations.series import fingerprints
from expectations.terms import Terms

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Twins:
    """What is known of every row.

    Attributes:
        sizes: Rows of each part.
        columns: `repeats` and `conflicts`, `(rows,)` int32 each; nothing where input or label
            cannot be read.
    """

    sizes: tuple[int, ...]
    columns: Columns

    @classmethod
    def of(cls, parts: Parts, terms: Terms) -> Twins:
        """Compare the rows of all parts."""
        sizes: list[int] = []
        held: list[Columns] = []
        labels: dict[str, int] = {}
        readable = True
        for frame in parts():
            sizes.append(len(frame))
            readable = readable and _readable(frame, terms)
            if readable:
                held.append(_keys(frame, terms, labels))
        return cls(tuple(sizes), _counted(held) if readable else {})

    def cut(self) -> Iterator[Columns]:
        """The columns of each part."""
        first = 0
        for rows in self.sizes:
            yield {name: values[first : first + rows] for name, values in self.columns.items()}
            first += rows


def _readable(frame: pd.DataFrame, terms: Terms) -> bool:
    return not input_problem(frame, terms) and "label" in frame and is_text(frame["label"])


def _keys(frame: pd.DataFrame, terms: Terms, labels: dict[str, int]) -> Columns:
    """Of each row two numbers for its input (0: none or blank), one for its label, and its side."""
    prints = _prints(frame, terms)
    missing = prints.isna().to_numpy()
    digits = "".join(prints.fillna("0" * 24).tolist())
    words = np.frombuffer(bytes.fromhex(digits), ">u4").reshape(-1, 3).astype(np.uint64)
    codes, names = pd.factorize(scalar(frame["label"]))
    known = np.array([labels.setdefault(str(name), len(labels)) for name in names] + [-1], np.int32)
    official = ~frame["split"].isin(["train"]) if "split" in frame else np.zeros(len(frame), bool)
    return {
        "first": np.where(missing, 0, words[:, 0] << np.uint64(32) | words[:, 1]),
        "rest": words[:, 2].astype(np.uint32),
        "label": known[codes],
        "official": np.asarray(official, bool),  # an official split keeps its rows
    }


def _prints(frame: pd.DataFrame, terms: Terms) -> pd.Series:
    column = frame[terms.input]
    if terms.kind == "numeric":
        return fingerprints(column)
    texts = scalar(column).str.strip()
    prints = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        if isinstance(text, str) and text
        else None
        for text in texts.tolist()
    ]
    return pd.Series(prints, dtype="str")


def _counted(held: list[Columns]) -> Columns:
    """How often each row repeats an earlier one, and how many labels contradict its own."""
    first = np.concatenate([part["first"] for part in held])
    ordered = np.sort(first)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    repeats, conflicts = np.zeros((2, len(first)), np.int32)
    at = np.flatnonzero(_among(first, twice[twice > 0]))
    others = {name: np.concatenate([part[name] for part in held])[at] for name in list(held[0])[1:]}
    keys = pd.DataFrame({"first": first[at], **others})
    repeats[at] = keys.groupby(["first", "rest", "label"]).cumcount()
    labelled = keys.loc[keys["label"] >= 0, ["first", "rest", "label"]].drop_duplicates()
    distinct = labelled.groupby(["first", "rest"]).size().rename("labels")
    found = keys.join(distinct, on=["first", "rest"])["labels"].fillna(1).to_numpy(np.int32) - 1
    conflicts[at] = np.where(keys["official"], 0, found)
    return {"repeats": repeats, "conflicts": conflicts}


def _among(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values are among sorted others, some at a time: a place takes 8 bytes."""
    found = np.zeros(len(values), bool)
    for start in range(0, len(values) if len(known) else 0, 1 << 20):
        some = values[start : start + (1 << 20)]
        at = np.minimum(np.searchsorted(known, some), len(known) - 1)
        found[start : start + len(some)] = known[at] == some
    return found
