"""Train rows that are copies of test rows: a model that saw them would be praised for memory.

Texts are compared by the Jaccard similarity of their character shingles. Only pairs that share a
rare shingle can be similar (prefix filtering: Bayardo, Ma and Srikant, *Scaling up all pairs
similarity search*, WWW 2007), so that nothing is missed and few pairs are ever compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tasks.datasets.contents import arrow, fingerprints, input_name, plain, settled
from tasks.datasets.errors import DataError
from tasks.datasets.series import as_series, flat, nested

SHINGLE_CHARACTERS = 5
BLOCK_ROWS = 4_096
_PAIRS_AT_ONCE = 65_536
_LINK = re.compile(r"\b(?:https?://|www\.)\S+")
_NOT_WORD = re.compile(r"[\W_]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def copies(train: pd.DataFrame, test: pd.DataFrame, similarity: float) -> NDArray[np.bool_]:
    """Which train rows are copies of a test row, `(train rows,)`.

    Text: case, punctuation and links aside, at least `similarity` of the 5-character shingles of
    both are common; texts equal after that always count. Numeric: equal when rounded to five
    decimals, whatever the similarity. Rows without an input are copies of nothing.

    Args:
        train: A canonical frame.
        test: Another.
        similarity: Above 0; 1 for equal texts only.

    Raises:
        DataError: a similarity of 0, at which everything is a copy.
    """
    if not 0 < similarity <= 1:
        raise DataError(f"split.near_duplicates: above 0 and at most 1, got {similarity}")
    name = input_name(train)
    if name == "series":
        return _equal(_rounded(train[name]), _rounded(test[name]))
    ours, theirs = _normalised(train[name]), _normalised(test[name])
    found = _equal(ours, theirs)
    rest = np.flatnonzero(~found & pd.notna(ours).astype(bool))
    if similarity < 1 and len(rest):
        found[rest] = _similar(ours[rest], theirs[pd.notna(theirs)], similarity)
    return found


def _equal(train: NDArray[np.object_], test: NDArray[np.object_]) -> NDArray[np.bool_]:
    known = {content for content in test if content is not None}
    return np.fromiter((content in known for content in train), bool, len(train))


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


def _similar(
    train: NDArray[np.object_], test: NDArray[np.object_], similarity: float
) -> NDArray[np.bool_]:
    if not len(test):
        return np.zeros(len(train), bool)
    index = _Index.of(test, similarity)
    blocks = (train[at : at + BLOCK_ROWS] for at in range(0, len(train), BLOCK_ROWS))
    return np.concatenate([index.matches(block, similarity) for block in blocks])


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
    def of(cls, texts: NDArray[np.object_], similarity: float) -> _Index:
        rows, hashes = _shingles(texts)
        names, at = np.unique(hashes, return_inverse=True)
        common = np.bincount(at)
        ranks = np.empty(len(names), np.int64)
        ranks[np.argsort(common, kind="stable")] = np.arange(len(names))
        sizes = np.bincount(rows, minlength=len(texts))
        shape = (len(texts), len(names))
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
    rows: NDArray[np.int64],
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
    rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
