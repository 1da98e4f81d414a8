"""Word tokenizer: the most frequent words of the train rows each have an id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.ragged import Ragged
from tasks.sequences.tokens import UNKNOWN


class WordTokenizer:
    """One id a word; words outside the vocabulary are unknown.

    Args:
        words: The vocabulary, most frequent first; the first has id 2.
        max_tokens: Most ids `fit` gives, padding and unknown counted.
        min_count: Words that `fit` sees more rarely are unknown, which teaches the model what
            unknown means.
    """

    def __init__(
        self, words: Sequence[str] = (), *, max_tokens: int = 50_000, min_count: int = 2
    ) -> None:
        self._words = list(words)
        self._ids = {word: number for number, word in enumerate(words, UNKNOWN + 1)}
        self._max_tokens = max_tokens
        self._min_count = min_count

    def fit(self, counts: Mapping[str, int]) -> WordTokenizer:
        """One with the most frequent words, ties in alphabetical order."""
        frequent = [word for word, count in counts.items() if count >= self._min_count]
        frequent.sort(key=lambda word: (-counts[word], word))
        return WordTokenizer(frequent[: max(0, self._max_tokens - UNKNOWN - 1)])

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> WordTokenizer:
        """The inverse of `to_json`."""
        return cls(state["words"])

    def to_json(self) -> dict[str, Any]:
        """The vocabulary in order of ids."""
        return {"words": self._words}

    @property
    def size(self) -> int:
        """Number of ids, padding and unknown counted."""
        return len(self._words) + UNKNOWN + 1

    @property
    def width(self) -> int:
        """Ids of one token."""
        return 1

    def encode(self, words: Sequence[str]) -> Ragged:
        """One id a word."""
        known = self._ids
        ids = np.fromiter((known.get(word, UNKNOWN) for word in words), np.int32, len(words))
        return Ragged(ids, np.arange(len(words) + 1, dtype=np.int64))
