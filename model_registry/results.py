"""What gates answer, what follows from it, and what a pipeline's owner may choose about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Failing = Literal["unfit", "worse", "unsure"]
Word = Literal["better", "fresher", "unsure", "worse", "unfit"]

WORDS: dict[Word, str] = {
    "better": "better",
    "fresher": "not worse and fresher",
    "unsure": "not enough evidence",
    "worse": "worse",
    "unfit": "unfit",
}


@dataclass(frozen=True)
class GateResult:
    """What one gate said.

    Attributes:
        gate: Its name in the table.
        passed: Whether it lets the challenger through.
        sentence: Why, with numbers.
        numbers: What it judged by.
        failing: What it means where it does not pass: something is wrong with the challenger
            (unfit), it is worse than the champion (worse), or the rows cannot tell (unsure).
        more_rows: How many more labelled test rows would settle what is unsure; 0: unknown.
    """

    gate: str
    passed: bool
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    failing: Failing = "unfit"
    more_rows: int = 0


def most_rows(needed: Iterable[int]) -> int:
    """Rows that settle all of what is unsure; 0 where some part is settled by none."""
    counts = list(needed)
    return max(counts) if counts and all(counts) else 0


@dataclass(frozen=True)
class Decision:
    """What all gates said together.

    Attributes:
        promote: Whether the challenger goes to Production.
        word: The verdict, a key of `WORDS`.
        reason: The verdict in a sentence a person can read, with its numbers.
        results: What each gate said.
        more_rows: More labelled test rows that would settle it; 0 where it is settled.
    """

    promote: bool
    word: Word
    reason: str
    results: tuple[GateResult, ...]
    more_rows: int = 0

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return WORDS[self.word]


@dataclass(frozen=True)
class PromotionPolicy:
    """What is done about a verdict.

    Attributes:
        fresher: What becomes of a challenger that is not worse, and newer.
        not_worse: The loss of the metric that "not worse" must exclude.
        new_classes: With classes that the champion does not know: judge by the others; keep
            the champion; or promote what is not worse on the others.
        vanished_classes: With classes that only the champion knows.
    """

    fresher: Literal["keep", "promote"] = "keep"
    not_worse: float = 0.01
    new_classes: Literal["judge", "keep", "promote"] = "judge"
    vanished_classes: Literal["judge", "keep"] = "keep"
