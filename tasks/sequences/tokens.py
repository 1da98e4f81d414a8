"""What every tokenizer does: words in, ids out. Id 0 pads, id 1 is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tasks.ragged import Ragged

PAD, UNKNOWN = 0, 1


def unknown_tokens(inputs: Ragged) -> list[int | None]:
    """How many tokens of each encoded row the vocabulary lacks, `(rows,)`; None for series."""
    if inputs.values.dtype != np.int32:
        return [None] * len(inputs)
    own = inputs.values if inputs.values.ndim == 1 else inputs.values[:, 0]
    counted = np.concatenate([[0], np.cumsum(own == UNKNOWN)])
    found: list[int | None] = np.diff(counted[inputs.offsets]).tolist()
    return found


class Tokenizer(Protocol):
    """An entry of TOKENIZERS; the keyword-only parameters of its constructor are its options."""

    @property
    def size(self) -> int:
        """Number of ids, padding and unknown counted."""
        ...

    @property
    def width(self) -> int:
        """Ids of one token; with more than one, the first is the token's own."""
        ...

    def fit(self, counts: Mapping[str, int]) -> Tokenizer:
        """A tokenizer for these words, given how often each occurs in the train rows."""
        ...

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Tokenizer:
        """The inverse of `to_json`."""
        ...

    def encode(self, words: Sequence[str]) -> Ragged:
        """The ids of each word, at least one a word."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Everything needed to encode the same way again."""
        ...
