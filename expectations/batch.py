"""Rules about a whole batch: is there enough of every class, and not the same thing twice?

They look at the rows that are left after quarantine, and quote recent nights where they can.
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.facts import tally
from expectations.terms import Finding, History, Terms
from expectations.words import brief, counted, percent


def judge(
    facts: pd.DataFrame,
    details: pd.DataFrame,
    bad: NDArray[np.int64],
    terms: Terms,
    history: History,
    *,
    dropped: int = 0,
) -> list[Finding]:
    """All findings about the batch; a critical one refuses it.

    Args:
        facts: What is held of all rows, `expectations.facts`.
        details: Audit frame of those that a finding may name.
        bad: Positions of the rows that go to quarantine.
        terms: The contract.
        history: Recent nights.
        dropped: Exact duplicates that ingestion has dropped before.
    """
    if facts["label"].isna().all():
        return [_all_null(facts, terms)]
    clean = facts["label"].drop(bad)
    return [
        *_new_classes(facts, terms),
        *_classes(clean, facts, terms, history),
        *_duplicates(facts, details, terms, dropped),
        *_quarantine(facts, details, bad, terms),
        *_enough(clean, facts, terms),
    ]


def empty(terms: Terms) -> Finding:
    """What is said of a batch without rows; Great Expectations calls it a success."""
    return Finding(
        f"at least {terms.min_rows:,} rows",
        "critical",
        0,
        f"batch: 0 rows, expected at least {terms.min_rows:,}; the source is empty or its filter "
        "leaves nothing: check the file or query and the logical date",
    )


def _all_null(facts: pd.DataFrame, terms: Terms) -> Finding:
    column = terms.sources.get("label", "label")
    return Finding(
        "label is given",
        "critical",
        len(facts),
        f"label: missing in all {len(facts):,} rows; nothing can be learnt without labels: check "
        f"column {column!r} of the source",
    )


def _new_classes(facts: pd.DataFrame, terms: Terms) -> list[Finding]:
    if not terms.labels:
        return []
    counts = {
        label: rows for label, rows in tally(facts["label"]).items() if label not in terms.labels
    }
    stop = terms.new_class == "stop"
    doing = "" if stop else "; its rows are in quarantine"
    return [
        Finding(
            f"label is one of {brief(terms.labels)}",
            "critical" if stop else "warning",
            rows,
            f"label: new label {label!r} {counted(rows)}, allowed are {brief(terms.labels)}"
            f"{doing}; {_hint(label, terms.labels)}",
            (label,),
        )
        for label, rows in counts.items()
    ]


def _hint(label: str, known: tuple[str, ...]) -> str:
    """Whether a new label is an old one in other clothes."""
    for old in known:
        if _plain(old) == _plain(label):
            return f"it looks like {old!r} retyped or respelled: correct the source"
    close = difflib.get_close_matches(label, known, n=1, cutoff=0.75)
    near = f" (nearest: {close[0]!r})" if close else ""
    return f"add it to contract.labels or correct the source{near}"


def _plain(label: str) -> str:
    try:
        return f"{float(label):g}"
    except ValueError:
        return label.strip().casefold()


def _classes(
    clean: pd.Series, facts: pd.DataFrame, terms: Terms, history: History
) -> list[Finding]:
    counts = tally(clean)
    if not len(counts):
        return []
    findings = [_one_class(counts)] if len(counts) == 1 else []
    before = tally(facts["label"])
    gone = (label for label in terms.labels if label not in counts)
    findings += [_vanished(label, before.get(label, 0), terms, history) for label in gone]
    rare = {label: rows for label, rows in counts.items() if rows < terms.min_rows_per_class}
    if rare:
        said = ", ".join(f"{label!r} {rows}" for label, rows in sorted(rare.items()))
        findings.append(
            Finding(
                f"at least {counted(terms.min_rows_per_class)} of each class",
                "critical",
                sum(rare.values()),
                f"class rows: {said}, at least {terms.min_rows_per_class} are asked for; gather "
                "more, drop the class at the source, or lower contract.min_rows_per_class",
                tuple(rare)[:5],
            )
        )
    return findings


def _one_class(counts: Mapping[str, int]) -> Finding:
    ((label, rows),) = counts.items()
    return Finding(
        "at least two classes",
        "critical",
        0,
        f"label: all {rows:,} rows are of one class, {label!r}, and "
        "two are needed to tell apart; check the filter of the source",
    )


def _vanished(label: str, lost: int, terms: Terms, history: History) -> Finding:
    nights = [night.classes.get(label, 0) for night in history.nights if night.classes]
    span = f"{len(nights)} nights" if len(nights) > 1 else "the night before"
    usual = f" (median {statistics.median(nights):,.0f} in {span})" if nights else ""
    gone = f"quarantine took all {lost:,} of its rows" if lost else "the source no longer has it"
    return Finding(
        "every class has rows",
        "critical" if terms.vanished_class == "stop" else "warning",
        0,
        f"class {label!r} 0 rows{usual}: {gone}; correct the source, or remove it from "
        "contract.labels, or set contract.vanished_class: tolerate",
        (label,),
    )


def _duplicates(
    facts: pd.DataFrame, details: pd.DataFrame, terms: Terms, dropped: int
) -> list[Finding]:
    repeats = repeating(facts)
    total, rows = len(facts) + dropped, len(repeats) + dropped
    if not rows:
        return []
    over = rows / total > terms.duplicate_budget
    left_out = f"{dropped:,} were left out on the way in" if dropped else "none was left out"
    advice = (
        "the batch was probably delivered twice: correct it, or raise contract.duplicate_budget"
        if over
        else f"{left_out}, and copies of test rows leave the training rows later"
    )
    return [
        Finding(
            f"at most {percent(terms.duplicate_budget)} duplicate rows",
            "critical" if over else "info",
            rows,
            f"duplicates: {rows:,} of {total:,} rows ({percent(rows / total)}) repeat another row "
            f"with the same label, budget {percent(terms.duplicate_budget)}; {advice}",
            _ids(details, repeats),
        )
    ]


def _quarantine(
    facts: pd.DataFrame, details: pd.DataFrame, bad: NDArray[np.int64], terms: Terms
) -> list[Finding]:
    if len(bad) <= terms.quarantine_budget * len(facts):
        return []
    return [
        Finding(
            f"at most {percent(terms.quarantine_budget)} of the rows in quarantine",
            "critical",
            len(bad),
            f"quarantine: {len(bad):,} of {len(facts):,} rows ({percent(len(bad) / len(facts))}) "
            f"break the contract, budget {percent(terms.quarantine_budget)}; correct the source, "
            "or the rule if it is wrong, or raise contract.quarantine_budget",
            _ids(details, bad),
        )
    ]


def _enough(clean: pd.Series, facts: pd.DataFrame, terms: Terms) -> list[Finding]:
    if len(clean) >= terms.min_rows:
        return []
    lost = len(facts) - len(clean)
    after = f" after {lost:,} went to quarantine" if lost else ""
    return [
        Finding(
            f"at least {terms.min_rows:,} rows",
            "critical",
            0,
            f"batch: {counted(len(clean))}{after}, expected at least {terms.min_rows:,}; "
            "check the source, or lower contract.min_rows",
        )
    ]


def repeating(facts: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of rows that repeat another."""
    return np.flatnonzero(facts["repeats"] > 0)


def _ids(details: pd.DataFrame, positions: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(row) for row in details["row_id"].loc[pd.Index(positions[:5])])
