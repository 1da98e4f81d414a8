"""Train rows that are copies of test rows: a model that saw them would be praised for memory.

Texts are compared by the Jaccard similarity of their character shingles. Only pairs that share a
rare shingle can be similar (prefix filtering: Bayardo, Ma and Srikant, *Scaling up all pairs
similarity search*, WWW 2007), so that nothing is missed and few pairs are ever compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tasks.datasets.contents import (
    among,
    arrow,
    fingerprints,
    input_name,
    numbers,
    plain,
    settled,
)
from tasks.datasets.errors import DataError
from tasks.datasets.series import as_series, flat, nested

SHINGLE_CHARACTERS = 5
BLOCK_ROWS = 4_096
_PAIRS_AT_ONCE = 65_536
_LINK = re.compile(r"\b(?:https?://|www\.)\S+")
_NOT_WORD = re.compile(r"[\W_]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def copies(train: pd.DataFrame, test: pd.DataFrame, similarity: float) -> NDArray[np.bool_]:
    """Which train rows are copies of a test row, `(train rows,)`; see `Judging`."""
    return Judging([test], similarity).copies(Comparable.of(train))


@dataclass(frozen=True)
class Comparable:
    """Rows as they are compared.

    Attributes:
        texts: `(rows,)` without links, case and punctuation; None where nothing is left to
            compare, and None altogether for series.
        numbers: `(rows,)` uint64, equal for equal inputs; 0 where there is nothing to compare.
    """

    texts: NDArray[np.object_] | None
    numbers: NDArray[np.uint64]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Comparable:
        """Those of a canonical frame."""
        name = input_name(frame)
        if name == "series":
            return cls(None, numbers(_rounded(frame[name])))
        texts = _normalised(frame[name])
        return cls(texts, numbers(fingerprints(pd.Series(texts, dtype="str"))))


class Judging:
    """Test rows, ready to be asked which train rows are copies of one.

    Text: case, punctuation and links aside, at least `similarity` of the 5-character shingles of
    both are common; texts equal after that always count. Numeric: equal when rounded to five
    decimals, whatever the similarity. Rows without an input are copies of nothing.

    In memory are 8 bytes a row; below a similarity of 1 the shingles of all texts, too, some 40
    bytes for each character while they are brought in order.

    Args:
        test: Canonical frames.
        similarity: Above 0; 1 for equal texts only.

    Raises:
        DataError: a similarity of 0, at which everything is a copy.
    """

    def __init__(self, test: Iterable[pd.DataFrame], similarity: float) -> None:
        if not 0 < similarity <= 1:
            raise DataError(f"split.near_duplicates: above 0 and at most 1, got {similarity}")
        self._similarity = similarity
        known = [np.empty(0, np.uint64)]
        shingles = _Shingles()
        for part in map(Comparable.of, test):
            known.append(part.numbers)
            if similarity < 1 and part.texts is not None:
                shingles.add(part.texts[pd.notna(part.texts)])
        self._known = np.unique(np.concatenate(known))
        self._index = _Index.of(shingles, similarity) if shingles.texts else None

    def copies(self, train: Comparable) -> NDArray[np.bool_]:
        """Which rows are copies of a test row, `(rows,)`."""
        found = among(train.numbers, self._known)
        if self._index is not None and train.texts is not None:
            rest = np.flatnonzero(~found & (train.numbers > 0))
            for at in range(0, len(rest), BLOCK_ROWS):
                block = rest[at : at + BLOCK_ROWS]
                found[block] = self._index.matches(train.texts[block], self._similarity)
        return found


def _rounded(series: pd.Series) -> NDArray[np.object_]:
    values, offsets = flat(arrow(series))
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = as_series(nested(settled(np.round(values, 5)), offsets))
    prints = fingerprints(rounded)
    prints[series.isna().to_numpy()] = None
    return prints


def _normalised(texts: pd.Series) -> NDArray[np.object_]:
    """Without links, case and punctuation; None where nothing is left to compare."""
    cleaned = [
        None if text is None else _NOT_WORD.sub(" ", _LINK.sub(" ", text).casefold()).strip()
        for text in plain(texts)
    ]
    return np.array([text or None for text in cleaned], object)


class _Shingles:
    """The shingles of texts that come in parts.

    Attributes:
        texts: How many there were.
        rows: `(shingles,)` int32, the text of each, ascending.
        hashes: `(shingles,)` uint64.
    """

    def __init__(self) -> None:
        self.texts = 0
        self._rows: list[NDArray[np.int32]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, texts: NDArray[np.object_]) -> None:
        """Texts behind those before."""
        for at in range(0, len(texts), BLOCK_ROWS):
            block = texts[at : at + BLOCK_ROWS]
            rows, hashes = _shingles(block)
            self._rows.append((rows + self.texts).astype(np.int32))
            self._hashes.append(hashes)
            self.texts += len(block)

    def taken(self) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
        """Rows and hashes, which are then gone from here."""
        rows, self._rows = np.concatenate(self._rows), []
        hashes, self._hashes = np.concatenate(self._hashes), []
        return rows, hashes


@dataclass(frozen=True)
class _Index:
    """The test rows, ready to be asked.

    Attributes:
        names: `(shingles,)` hashes of all test shingles, sorted.
        ranks: `(shingles,)` place of each in the order from rare to common.
        sizes: `(rows,)` distinct shingles of each row.
        whole: `(rows, shingles)` 1 where a row has a shingle.
        rare: `(shingles, rows)` the same for the rarest of each row only.
    """

    names: NDArray[np.uint64]
    ranks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    whole: sparse.csr_array
    rare: sparse.csr_array

    @classmethod
    def of(cls, shingles: _Shingles, similarity: float) -> _Index:
        rows, hashes = shingles.taken()
        names, at = np.unique(hashes, return_inverse=True)
        del hashes
        common = np.bincount(at)
        ranks = np.empty(len(names), np.int64)
        ranks[np.argsort(common, kind="stable")] = np.arange(len(names))
        sizes = np.bincount(rows, minlength=shingles.texts)
        shape = (shingles.texts, len(names))
        prefix = _prefix(rows, ranks[at], sizes, np.zeros_like(sizes), similarity)
        rare = _incidence(rows[prefix], at[prefix], shape).T.tocsr()
        return cls(names, ranks, sizes, _incidence(rows, at, shape), rare)

    def matches(self, texts: NDArray[np.object_], similarity: float) -> NDArray[np.bool_]:
        """Which of the texts are similar to a test row, `(texts,)`."""
        rows, hashes = _shingles(texts)
        sizes = np.bincount(rows, minlength=len(texts))
        at = np.minimum(np.searchsorted(self.names, hashes), len(self.names) - 1)
        known = self.names[at] == hashes
        rows, at = rows[known], at[known]
        # Shingles that no test row has are the rarest of all, and can match nothing.
        unknown = sizes - np.bincount(rows, minlength=len(texts))
        prefix = _prefix(rows, self.ranks[at], sizes, unknown, similarity)
        shape = (len(texts), len(self.names))
        asked, whole = _incidence(rows[prefix], at[prefix], shape), _incidence(rows, at, shape)
        found = np.zeros(len(texts), bool)
        for start, end in self._bites(asked):
            ours, theirs = (asked[start:end] @ self.rare).nonzero()
            ours = ours.astype(np.int64) + start
            low, high = similarity * sizes[ours], sizes[ours] / similarity
            fits = (self.sizes[theirs] >= low) & (self.sizes[theirs] <= high)
            found[self._confirmed(whole, sizes, ours[fits], theirs[fits], similarity)] = True
        return found

    def _bites(self, asked: sparse.csr_array) -> Iterator[tuple[int, int]]:
        """Runs of rows that meet a bounded number of test rows together."""
        met = np.cumsum(asked @ np.diff(self.rare.indptr))
        start = 0
        while start < asked.shape[0]:
            before = met[start - 1] if start else 0
            end = int(np.searchsorted(met, before + _PAIRS_AT_ONCE * 64, side="right"))
            yield start, max(end, start + 1)
            start = max(end, start + 1)

    def _confirmed(
        self,
        whole: sparse.csr_array,
        sizes: NDArray[np.int64],
        ours: NDArray[np.int64],
        theirs: NDArray[np.int64],
        similarity: float,
    ) -> NDArray[np.int64]:
        """Our rows of the pairs that really are similar."""
        good = []
        for at in range(0, len(ours), _PAIRS_AT_ONCE):
            left, right = ours[at : at + _PAIRS_AT_ONCE], theirs[at : at + _PAIRS_AT_ONCE]
            common = whole[left].multiply(self.whole[right]).sum(axis=1)
            union = sizes[left] + self.sizes[right] - common
            good.append(left[common >= similarity * union])
        return np.concatenate([np.empty(0, np.int64), *good])


def _shingles(texts: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Row and hash of every distinct shingle of every text, sorted by row.

    Texts are padded with a space on both sides, and on the right to one whole shingle.
    """
    padded = [f" {text} ".ljust(SHINGLE_CHARACTERS) for text in texts]
    lengths = np.fromiter((len(text) for text in padded), np.int64, len(padded))
    letters = np.frombuffer("".join(padded).encode("utf-32-le"), "<u4").astype(np.uint64)
    starts = len(letters) - SHINGLE_CHARACTERS + 1
    hashes = np.zeros(starts, np.uint64)
    for shift in range(SHINGLE_CHARACTERS):
        hashes = (hashes ^ letters[shift : shift + starts]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    rows = np.repeat(np.arange(len(padded)), lengths)[:starts]
    ends = np.repeat(np.cumsum(lengths), lengths)[:starts]
    inside = np.arange(starts) + SHINGLE_CHARACTERS <= ends
    rows, hashes = rows[inside], hashes[inside]
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    return rows[new], hashes[new]


def _prefix(
    rows: NDArray[np.signedinteger[Any]],
    ranks: NDArray[np.int64],
    sizes: NDArray[np.int64],
    taken: NDArray[np.int64],
    similarity: float,
) -> NDArray[np.int64]:
    """Entries among the rarest of their row: similar rows have one of these in common.

    A row of `n` shingles has a prefix of `n - ceil(similarity * n) + 1`, of which `taken` are
    used up by shingles rarer than any here.
    """
    needed = np.ceil(similarity * sizes - 1e-9).astype(np.int64)
    room = sizes - needed + 1 - taken
    order = np.lexsort((ranks, rows))
    counts = np.bincount(rows, minlength=len(sizes))
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(len(rows)) - first
    kept: NDArray[np.int64] = order[place < room[rows[order]]]
    return kept


def _incidence(
    rows: NDArray[np.signedinteger[Any]], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
