"""Words with the pieces they are spelt with, so that an unseen word is not just unknown."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Ragged
from tasks.sequences.vocabulary import WordTokenizer

START, END = "\u2039", "\u203a"  # a piece at the border of a word is another piece


class WordNgramTokenizer:
    """One row of ids a word: its own id, then those of its character n-grams.

    The n-grams are hashed (crc32) into a fixed number of ids after the words' own, so any word
    has some, whatever the train rows held (Bojanowski et al. 2017,
    https://arxiv.org/abs/1607.04606). Short n-grams come first; where a word has fewer than
    `most`, 0 fills the row.

    Args:
        words: The vocabulary, most frequent first; the first has id 2.
        max_tokens: Most ids of whole words, padding and unknown counted.
        min_count: Words that `fit` sees more rarely have the id of unknown words.
        buckets: Ids that n-grams share.
        shortest: Characters of the shortest n-gram.
        longest: Characters of the longest.
        most: n-grams of a word that are kept.
    """

    def __init__(
        self,
        words: Sequence[str] = (),
        *,
        max_tokens: int = 50_000,
        min_count: int = 2,
        buckets: int = 10_000,
        shortest: int = 3,
        longest: int = 5,
        most: int = 12,
    ) -> None:
        self._words = WordTokenizer(words, max_tokens=max_tokens, min_count=min_count)
        self._options = {
            "buckets": buckets,
            "shortest": shortest,
            "longest": longest,
            "most": most,
        }

    def fit(self, counts: Mapping[str, int]) -> WordNgramTokenizer:
        """One with the most frequent words; n-grams need no fitting."""
        words = self._words.fit(counts).to_json()["words"]
        return WordNgramTokenizer(words, **self._options)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> WordNgramTokenizer:
        """The inverse of `to_json`."""
        return cls(**state)

    def to_json(self) -> dict[str, Any]:
        """The vocabulary in order of ids, and how words are cut."""
        return {**self._words.to_json(), **self._options}

    @property
    def size(self) -> int:
        """Number of ids, padding, unknown and n-grams counted."""
        return self._words.size + self._options["buckets"]

    @property
    def width(self) -> int:
        """Ids of one word: its own and those of its n-grams."""
        return 1 + self._options["most"]

    def encode(self, words: Sequence[str]) -> Ragged:
        """One row a word, values `(words, width)` int32."""
        own = self._words.encode(words)
        rows = np.zeros((len(words), self.width), np.int32)
        rows[:, 0] = own.values
        for number, word in enumerate(words):
            found = self._hashed(word)
            rows[number, 1 : 1 + len(found)] = found
        return Ragged(rows, own.offsets)

    def _hashed(self, word: str) -> NDArray[np.int64]:
        pieces = ngrams(word, self._options["shortest"], self._options["longest"])
        kept = [zlib.crc32(piece.encode()) for piece in islice(pieces, self.width - 1)]
        return np.array(kept, np.int64) % self._options["buckets"] + self._words.size


def ngrams(word: str, shortest: int, longest: int) -> Iterator[str]:
    """The word's character n-grams, borders marked, from the shortest up."""
    marked = f"{START}{word}{END}"
    for size in range(shortest, longest + 1):
        for first in range(len(marked) - size + 1):
            yield marked[first : first + size]
