"""Rules about a whole batch: is there enough of every class, and not the same thing twice?

They look at the rows that are left after quarantine, and quote recent nights where they can.
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.terms import Finding, History, Terms
from expectations.words import brief, counted, percent


def judge(
    facts: pd.DataFrame,
    bad: NDArray[np.int64],
    terms: Terms,
    history: History,
    *,
    dropped: int = 0,
) -> list[Finding]:
    """All findings about the batch; a critical one refuses it.

    Args:
        facts: Audit frame whose columns are right.
        bad: Positions of the rows that go to quarantine.
        terms: The contract.
        history: Recent nights.
        dropped: Exact duplicates that ingestion has dropped before.
    """
    if facts["label"].isna().all():
        return [_all_null(facts, terms)]
    clean = facts[~facts.index.isin(bad)]
    return [
        *_new_classes(facts, terms),
        *_classes(clean, facts, terms, history),
        *_duplicates(facts, terms, dropped),
        *_quarantine(facts, bad, terms),
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
    counts = facts.loc[~facts["label"].isin([*terms.labels, None]), "label"].value_counts()
    stop = terms.new_class == "stop"
    doing = "" if stop else "; its rows are in quarantine"
    return [
        Finding(
            f"label is one of {brief(terms.labels)}",
            "critical" if stop else "warning",
            int(rows),
            f"label: new label {label!r} {counted(int(rows))}, allowed are {brief(terms.labels)}"
            f"{doing}; {_hint(str(label), terms.labels)}",
            (str(label),),
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
    clean: pd.DataFrame, facts: pd.DataFrame, terms: Terms, history: History
) -> list[Finding]:
    counts = clean["label"].value_counts()
    if not len(counts):
        return []
    findings = [_one_class(counts)] if len(counts) == 1 else []
    for label in terms.labels:
        if label not in counts:
            lost = int((facts["label"] == label).sum())
            findings.append(_vanished(label, lost, terms, history))
    rare = {str(k): int(n) for k, n in counts.items() if n < terms.min_rows_per_class}
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


def _one_class(counts: pd.Series) -> Finding:
    return Finding(
        "at least two classes",
        "critical",
        0,
        f"label: all {int(counts.iloc[0]):,} rows are of one class, {str(counts.index[0])!r}, and "
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


def _duplicates(facts: pd.DataFrame, terms: Terms, dropped: int) -> list[Finding]:
    repeats = np.flatnonzero(facts["repeats"] > 0)
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
            _ids(facts, repeats),
        )
    ]


def _quarantine(facts: pd.DataFrame, bad: NDArray[np.int64], terms: Terms) -> list[Finding]:
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
            _ids(facts, bad),
        )
    ]


def _enough(clean: pd.DataFrame, facts: pd.DataFrame, terms: Terms) -> list[Finding]:
    if len(clean) >= terms.min_rows:
        return []
    lost = len(facts) - len(clean)
    after = f" after {lost:,} went to quarantine" if lost else ""
    return [
        Finding(
            f"at least {terms.min_rows:,} rows",
            "critical",
            0,
            f"batch: {counted(len(clean))}{after}, expected at least {terms.min_rows:,}; check the "
            "source, or lower contract.min_rows",
        )
    ]


def _ids(facts: pd.DataFrame, positions: Iterable[int]) -> tuple[str, ...]:
    return tuple(str(row) for row in facts["row_id"].iloc[list(positions)[:5]])
