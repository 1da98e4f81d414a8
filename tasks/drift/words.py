"""Where a feature moved from and to, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.drift.features import Counts, Feature, Ordered

SHOWN_WORDS = 4
LEAST_ROWS = 5


def said(feature: Feature, days: int) -> str:
    """The largest move in a feature, reference first.

    Args:
        feature: Over the pooled rows, the day's first.
        days: Rows of the day.
    """
    if isinstance(feature, Ordered):
        now, before = feature.values[:days], feature.values[days:]
        return f"mean {_mean(before)} before and {_mean(now)} now"
    if isinstance(feature, Counts) and feature.columns:
        now, before = (part.mean(axis=0) for part in np.split(feature.table, [days]))
        most = int(np.abs(now - before).argmax())
        return (
            f"{feature.columns[most]!r} {before[most]:.1%} of rows before and {now[most]:.1%} now"
        )
    return ""


def _mean(values: NDArray[np.float64]) -> str:
    known = values[~np.isnan(values)]
    return f"{known.mean():.3g}" if len(known) else "nothing"


def moved_words(now: Sequence[str | None], before: Sequence[str | None]) -> str:
    """The words whose share of rows moved most, up or down.

    Args:
        now: Texts of the day.
        before: Texts of the reference.
    """
    shares = [_shares(texts) for texts in (before, now)]
    words = {word for share in shares for word in share}
    moves = {word: shares[1].get(word, 0.0) - shares[0].get(word, 0.0) for word in words}
    most = sorted(words, key=lambda word: (-abs(moves[word]), word))[:SHOWN_WORDS]
    told = (
        f"{word!r} {shares[0].get(word, 0.0):.1%} → {shares[1].get(word, 0.0):.1%}" for word in most
    )
    return "share of rows with " + ", ".join(told) if most else ""


def _shares(texts: Sequence[str | None]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set((text or "").lower().split()))
    return {word: n / len(texts) for word, n in counts.items() if n >= LEAST_ROWS}
