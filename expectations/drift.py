"""Shifts that a person should know of and that stop nothing: classes, lengths, values, leaks.

The measure is the population stability index: sum over bins of `(p - q) * ln(p / q)`. Without
any shift its mean is about `(bins - 1) * (1 / n + 1 / m)`, so that small batches are allowed
more (Yurdakul and Naranjo, Statistical properties of the population stability index, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from expectations.facts import LEAST_LABEL, WATCHED, facts_of, slices_of, tally
from expectations.terms import Finding, History, Severity, Terms
from expectations.words import percent

SHIFTED, MOVED = 0.25, 0.1
BINS = 10
MOST_CATEGORIES = 50
LEAST_ROWS = 30
LEAK = 0.9


def shifts(facts: pd.DataFrame, terms: Terms, history: History) -> list[Finding]:
    """Findings about what moved since the nights before, `warning` or `info`.

    Args:
        facts: What is held of the rows that passed, `expectations.facts`.
        terms: The contract.
        history: Recent nights and a reference frame.
    """
    found = [_leak(facts, terms)]
    before = None if history.reference is None else facts_of(history.reference, terms)
    if before is not None and len(before):
        now = _new(facts, before)
        found += [_numbers(now, before, name) for name in WATCHED]
        found += [_categories(now, before, name) for name in ("label", *_slices(facts, terms))]
    return [finding for finding in found if finding]


def watched(facts: pd.DataFrame, terms: Terms, bad: NDArray[np.int64]) -> pd.DataFrame:
    """What `shifts` looks at of the rows that passed, `bad` being the positions of the others."""
    names = {"id", "label", "spelt", *WATCHED, *slices_of(terms)}
    passed = np.ones(len(facts), bool)
    passed[bad] = False
    return facts.loc[passed, [name for name in facts if name in names]]


def _new(facts: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Rows the reference does not hold, since a growing source repeats it; all where few are."""
    new = facts[~facts["id"].isin(before["id"])]
    return new if len(new) >= LEAST_ROWS else facts


def stability(expected: ArrayLike, actual: ArrayLike) -> tuple[float, float]:
    """Population stability index of counts, and what chance alone gives.

    Args:
        expected: `(bins,)` counts before.
        actual: `(bins,)` counts now.
    """
    before, now = np.asarray(expected, float), np.asarray(actual, float)
    used = (before + now) > 0
    before, now = before[used], now[used]
    if before.sum() == 0 or now.sum() == 0 or len(before) < 2:
        return 0.0, 0.0
    p = (before + 0.5) / (before + 0.5).sum()
    q = (now + 0.5) / (now + 0.5).sum()
    chance = (len(before) - 1) * (1 / before.sum() + 1 / now.sum())
    return float(((q - p) * np.log(q / p)).sum()), float(chance)


def _numbers(facts: pd.DataFrame, before: pd.DataFrame, name: str) -> Finding | None:
    if name not in facts or name not in before:
        return None
    old, new = _finite(before[name]), _finite(facts[name])
    if not len(old) or not len(new):
        return None
    inner = np.unique(np.quantile(old, np.linspace(0, 1, BINS + 1)[1:-1]))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    index, chance = stability(np.histogram(old, edges)[0], np.histogram(new, edges)[0])
    moved = f"median {np.median(old):g} before and {np.median(new):g} now"
    return _finding(name, index, chance, moved)


def _finite(column: pd.Series) -> NDArray[np.float64]:
    values = column.to_numpy("float64", na_value=np.nan)
    return np.asarray(values[np.isfinite(values)])


def _categories(facts: pd.DataFrame, before: pd.DataFrame, name: str) -> Finding | None:
    if name not in before:
        return None
    old, new = tally(before[name]), tally(facts[name])
    keys = sorted({*old, *new})
    counts = np.array([[old.get(key, 0), new.get(key, 0)] for key in keys], float).T
    if not counts.size or not counts.sum(axis=1).all():
        return None
    index, chance = stability(*counts)
    p, q = counts / counts.sum(axis=1, keepdims=True)
    most = int(np.abs(p - q).argmax())
    return _finding(
        name,
        index,
        chance,
        f"{keys[most]!r} {percent(p[most])} of rows before and {percent(q[most])} now",
    )


def _finding(name: str, index: float, chance: float, moved: str) -> Finding | None:
    excess = index - 3 * chance
    if excess < MOVED:
        return None
    severity: Severity = "warning" if excess >= SHIFTED else "info"
    return Finding(
        f"{name} is distributed as before",
        severity,
        0,
        f"{name}: distribution moved, stability index {index:.2f} (chance alone {chance:.2f}, "
        f"{SHIFTED} is much): {moved}; see whether the source or its units changed",
    )


def _slices(facts: pd.DataFrame, terms: Terms) -> Iterable[str]:
    """Slices of few values."""
    return (name for name in slices_of(terms) if facts[name].nunique() <= MOST_CATEGORIES)


def _leak(facts: pd.DataFrame, terms: Terms) -> Finding | None:
    """A text that spells out its own label."""
    if terms.kind != "text" or len(facts) == 0:
        return None
    if any(len(label) < LEAST_LABEL for label in tally(facts["label"])):
        return None
    hits = int(facts["spelt"].sum())
    if hits < LEAK * len(facts):
        return None
    return Finding(
        "the text does not spell out its label",
        "warning",
        hits,
        f"text: {hits:,} of {len(facts):,} rows contain their own label as a word; the label "
        "probably leaked into the text: take it out at the source",
    )
