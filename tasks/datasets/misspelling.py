"""Slips of the finger, for texts that nobody typed."""

from __future__ import annotations

import random
import string

TYPO = 0.015  # chance a word


def misspelt(text: str, rng: random.Random) -> str:
    """The text with a slip in a word here and there."""
    return " ".join(
        _typo(word, rng) if len(word) > 3 and rng.random() < TYPO else word
        for word in text.split(" ")
    )


def nearly(text: str, rng: random.Random) -> str:
    """The text as somebody would type it a second time."""
    parts = text.split(" ")
    at = rng.randrange(len(parts))
    parts[at] = _typo(parts[at], rng) if len(parts[at]) > 3 else parts[at]
    return " ".join(parts) + rng.choice(("", "!", " please", " (sent again)"))


def _typo(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + rng.choice(string.ascii_lowercase) + word[at + 1 :]
