"""From text rows to token ids: split, clean the distinct words, tokenise, look up."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.config import Choice, Preprocessing, resolve
from tasks.ragged import InputSpec, Ragged
from tasks.sequences import CLEANING, TOKENIZERS
from tasks.sequences.characters import token
from tasks.sequences.cleaning import pinned
from tasks.sequences.distinct import Words, blocks
from tasks.sequences.tokens import Tokenizer

LEAST_UNLABELLED = 5  # occurrences of a word in texts without labels from which it counts


class Cleaner:
    """Cleaning steps in order, then the split into tokens.

    Args:
        choices: Entries of CLEANING.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(pinned(choice) for choice in choices)
        self._steps = [resolve(CLEANING, choice, "cleaning step")() for choice in self.choices]

    def tokens(self, words: Sequence[str]) -> Words:
        """The tokens of each word, none or several; all words are cleaned at once."""
        text = unicodedata.normalize("NFC", "\n".join(words)).replace("\u2019", "'")
        for step in self._steps:
            text = step(text)
        numbers = defaultdict(itertools.count().__next__, {"\n": -1})
        found = token().findall(text)
        codes = np.fromiter(map(numbers.__getitem__, found), np.int64, len(found))
        ends = np.flatnonzero(np.append(codes, -1) < 0)
        if len(ends) != max(len(words), 1):
            raise ValueError(f"cleaning: {len(words)} lines went in and {len(ends)} came out")
        offsets = np.append(0, ends - np.arange(len(ends)))[: len(words) + 1]
        return Words(list(numbers)[1:], codes[codes >= 0], offsets)

    def counts(self, frames: Iterable[pd.DataFrame]) -> Counter[str]:
        """How often each token occurs in the column `text` of all frames."""
        counts: Counter[str] = Counter()
        for block in itertools.chain.from_iterable(map(blocks, frames)):
            counts.update(_count(block, self.tokens(block.distinct)))
        return counts


class TextPreprocessor:
    """Text to token ids.

    A row without a token has length 0; models answer it as they answer padding.

    Args:
        cleaner: The cleaning steps.
        tokenizer_name: Entry of TOKENIZERS.
        tokenizer: The fitted tokenizer.
        max_length: Rows are cut to this many ids.
    """

    def __init__(
        self, cleaner: Cleaner, tokenizer_name: str, tokenizer: Tokenizer, max_length: int
    ) -> None:
        self._cleaner = cleaner
        self._tokenizer_name = tokenizer_name
        self._tokenizer = tokenizer
        self._max_length = max_length
        self.spec = InputSpec("text", tokenizer.size, tokenizer.width)

    @classmethod
    def fit(
        cls,
        preprocessing: Preprocessing,
        frames: Iterable[pd.DataFrame],
        unlabelled: Iterable[pd.DataFrame] = (),
    ) -> TextPreprocessor:
        """Learn the tokenizer from train rows, and frequent words from texts without labels.

        Args:
            preprocessing: Cleaning steps, tokenizer and greatest length.
            frames: Train rows with the column `text`, in one part or several.
            unlabelled: Texts without labels, likewise.

        Raises:
            ConfigError: an unknown step, tokenizer or option.
            ValueError: a row whose text is no text.
        """
        choice = preprocessing.tokenizer
        untrained = resolve(TOKENIZERS, choice, "tokenizer")()
        cleaner = Cleaner(preprocessing.cleaning)
        counts = cleaner.counts(frames)
        found = cleaner.counts(unlabelled)
        counts.update({word: n for word, n in found.items() if n >= LEAST_UNLABELLED})
        return cls(cleaner, choice.name, untrained.fit(counts), preprocessing.max_length)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> TextPreprocessor:
        """The inverse of `to_json`."""
        cleaner = Cleaner([Choice.model_validate(step) for step in state["cleaning"]])
        name = state["tokenizer"]["name"]
        tokenizer = TOKENIZERS[name].from_json(state["tokenizer"]["state"])
        return cls(cleaner, name, tokenizer, state["max_length"])

    def to_json(self) -> dict[str, Any]:
        """Everything needed to encode the same way again."""
        return {
            "kind": "text",
            "max_length": self._max_length,
            "cleaning": [choice.model_dump() for choice in self._cleaner.choices],
            "tokenizer": {"name": self._tokenizer_name, "state": self._tokenizer.to_json()},
        }

    def encode(self, frame: pd.DataFrame) -> Ragged:
        """Token ids of each row, at most `max_length` a row.

        Args:
            frame: Rows with the column `text`; missing text has length 0.

        Returns:
            int32 ids, `(steps,)`, or `(steps, width)` where a token has several.

        Raises:
            ValueError: a value that is no text, naming its row.
        """
        parts = [self._encode(block).cut(self._max_length) for block in blocks(frame)]
        shape = (0,) if self.spec.width == 1 else (0, self.spec.width)
        return Ragged.joined([Ragged(np.zeros(shape, np.int32), np.zeros(1, np.int64)), *parts])

    def _encode(self, block: Words) -> Ragged:
        tokens = self._cleaner.tokens(block.distinct)
        ids = self._tokenizer.encode(tokens.distinct).take(tokens.codes)
        of_words = Ragged(ids.values, ids.offsets[tokens.offsets]).take(block.codes)
        return Ragged(of_words.values, of_words.offsets[block.offsets])


def _count(block: Words, tokens: Words) -> Counter[str]:
    """How often each token occurs in a block."""
    of_word = np.bincount(block.codes, minlength=len(block.distinct))
    of_token = np.bincount(tokens.codes, np.repeat(of_word, np.diff(tokens.offsets)))
    return Counter(dict(zip(tokens.distinct, of_token.astype(np.int64).tolist(), strict=True)))
