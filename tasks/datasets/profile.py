"""A first look at somebody's data: what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from expectations.audit import audit
from expectations.terms import Terms


@dataclass(frozen=True)
class Profile:
    """What a canonical frame holds.

    Attributes:
        rows: Examples.
        unit: `words` or `steps`, of the lengths.
        classes: Name, rows and share of each class, the largest first.
        lengths: `p50`, `p95`, `p99` and `max`.
        nulls: Column to rows without a value, where there are any.
        duplicates: Rows that repeat an earlier one with the same label.
        conflicts: Rows whose input bears another label elsewhere.
        estimated: Whether duplicates and conflicts were counted on some of the rows only.
    """

    rows: int
    unit: str
    classes: tuple[tuple[str, int, float], ...]
    lengths: dict[str, int]
    nulls: dict[str, int]
    duplicates: int
    conflicts: int
    estimated: bool = False

    @property
    def rarest(self) -> int:
        """Rows of the smallest class."""
        return self.classes[-1][1] if self.classes else 0

    @property
    def skew(self) -> float:
        """Rows of the largest class over those of the smallest."""
        return self.classes[0][1] / max(self.rarest, 1) if self.classes else 1.0


def profile(frame: pd.DataFrame, terms: Terms) -> Profile:
    """Count what a canonical frame holds."""
    facts = audit(frame, terms)
    counts = facts["label"].value_counts()
    known = int(counts.sum())
    length = facts["length"].dropna()
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    nulls = {str(name): int(n) for name, n in frame.isna().sum().items() if n}
    return Profile(
        rows=len(frame),
        unit="words" if terms.kind == "text" else "steps",
        classes=tuple((str(k), int(n), int(n) / known) for k, n in counts.items()),
        lengths={name: int(length.quantile(q)) if len(length) else 0 for name, q in at.items()},
        nulls=nulls,
        duplicates=int((facts["repeats"] > 0).sum()),
        conflicts=int((facts["conflicts"] > 0).sum()),
    )
