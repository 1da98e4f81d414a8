"""Subword tokenizer: byte-pair encoding trained on the train rows, so few words are unknown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tasks.ragged import Ragged

WORD_START = "\u2581"
PADDING_PIECE, UNKNOWN_PIECE = "<pad>", "<unk>"  # ids 0 and 1
WORDS_A_CALL = 1_000


class SubwordTokenizer:
    """Pieces of words by the library `tokenizers`.

    The beginning of a word is marked in the text itself: the library's own prefix gives its
    pieces ids in the order of a hash table, another order in each process.

    Args:
        model: The library's tokenizer in its own JSON; untrained where absent.
        max_tokens: Most ids `fit` gives, padding and unknown counted.
        min_count: Pairs of pieces that `fit` sees more rarely are not joined.
        max_characters: Characters known by themselves, the most frequent ones.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        *,
        max_tokens: int = 8_000,
        min_count: int = 2,
        max_characters: int = 1_000,
    ) -> None:
        from tokenizers import Tokenizer, models, pre_tokenizers

        self._tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN_PIECE, fuse_unk=True))
        self._tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        if model is not None:
            self._tokenizer = Tokenizer.from_str(json.dumps(model))
        self._max_tokens = max_tokens
        self._min_count = min_count
        self._max_characters = max_characters

    def fit(self, counts: Mapping[str, int]) -> SubwordTokenizer:
        """One that joins neighbouring pieces, from the most frequent pair down."""
        from tokenizers import trainers

        alphabet = _alphabet(counts, self._max_characters)
        trainer = trainers.BpeTrainer(
            vocab_size=self._max_tokens,
            min_frequency=self._min_count,
            special_tokens=[PADDING_PIECE, UNKNOWN_PIECE],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        fitted = SubwordTokenizer()
        fitted._tokenizer.train_from_iterator(_repeated(counts), trainer)
        return fitted

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SubwordTokenizer:
        """The inverse of `to_json`."""
        return cls(state["model"])

    def to_json(self) -> dict[str, Any]:
        """The library's own JSON, inside ours."""
        return {"model": json.loads(self._tokenizer.to_str())}

    @property
    def size(self) -> int:
        """Number of ids, padding and unknown counted."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def width(self) -> int:
        """Ids of one token."""
        return 1

    def encode(self, words: Sequence[str]) -> Ragged:
        """The pieces of each word, many words a call: a call costs more than a word."""
        ids: list[int] = []
        lengths = np.zeros(len(words) + 1, np.int64)
        for first in range(0, len(words), WORDS_A_CALL):
            part = words[first : first + WORDS_A_CALL]
            found = self._tokenizer.encode(f"{WORD_START}{f' {WORD_START}'.join(part)}")
            ids += found.ids
            counts = np.bincount(np.array(found.word_ids, np.int64), minlength=len(part))
            lengths[first + 1 : first + 1 + len(part)] = counts
        return Ragged(np.array(ids, np.int32), np.cumsum(lengths))


def _alphabet(counts: Mapping[str, int], most: int) -> list[str]:
    """The most frequent characters, ties in order, and the mark of a word's start."""
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            found[character] += count
    ranked = sorted(found, key=lambda character: (-found[character], character))
    return [WORD_START, *(c for c in ranked if c != WORD_START)][:most]


def _repeated(counts: Mapping[str, int]) -> Iterator[str]:
    """Each word as often as it occurs; the trainer counts them again."""
    for word in sorted(counts):
        yield " ".join([WORD_START + word] * counts[word])
