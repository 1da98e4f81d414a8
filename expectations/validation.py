"""Canonical rows against their contract: findings, rows for quarantine, accepted or not.

Great Expectations' own `success` decides nothing here: an empty file passes there, a failing
`info` fails there, and rows that `mostly` tolerates are listed with the bad ones.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations import batch, docs, drift, recent
from expectations.clauses import Clause, from_suite
from expectations.contract import clauses
from expectations.rows import Rows, parts_of
from expectations.suites import Outcome, normalised
from expectations.survey import Survey, survey
from expectations.terms import Finding, History, Report, Severity, Terms
from expectations.words import percent, quoted, short

logger = logging.getLogger(__name__)

DERIVED = {"length": "series", "age_hours": "time"}
Judged = Sequence[tuple[Clause, Outcome]]


def check(
    rows: Rows,
    terms: Terms,
    suite: Sequence[dict[str, Any]] | None,
    *,
    history: History,
    docs_dir: Path,
    dropped: int = 0,
) -> Report:
    """Judge rows and write the Data Docs.

    Args:
        rows: Canonical rows; those in several parts in the order of their ids, each once.
        terms: The pipeline's contract.
        suite: Entries of the reviewed suite, on columns of the audit frame; None for none.
        history: Recent nights.
        docs_dir: Folder the pages are written to.
        dropped: Exact duplicates that ingestion has dropped before.

    Raises:
        SuiteError: an entry of the suite that would not be evaluated.
    """
    asked = [*clauses(terms), *(from_suite(entry) for entry in normalised(suite or []))]
    seen = survey(parts_of(rows), terms, [clause.entry() for clause in asked])
    judged = list(zip(asked, seen.evaluation.outcomes, strict=True))
    findings, bad = _judge(seen, judged, history=history, dropped=dropped)
    findings = sorted(findings, key=lambda one: ("critical", "warning", "info").index(one.severity))
    stops = [finding for finding in findings if finding.severity == "critical"]
    reason = _reason(stops, len(seen.facts), len(bad))
    for finding in findings:
        logger.info("%s: %s", finding.severity, finding.message)
    index = docs.publish(seen.evaluation, findings, reason, docs_dir)
    return Report(tuple(findings), bad, not stops, reason, index, len(asked))


def _judge(
    seen: Survey, judged: Judged, *, history: History, dropped: int
) -> tuple[list[Finding], pd.DataFrame]:
    nothing = pd.DataFrame({"row_id": [], "reason": []}, dtype="str")
    facts, terms = seen.facts, seen.terms
    if not len(facts):
        return [batch.empty(terms)], nothing
    broken = _structure(judged, seen.problem)
    if broken:
        return broken, nothing
    details = seen.details(_named(facts, judged))
    bad = _bad_rows(details, judged)
    positions = bad.index.to_numpy(np.int64)
    findings = [
        *batch.judge(facts, details, positions, terms, history, dropped=dropped),
        *recent.completeness(facts, terms, history),
        *_clauses(seen, details, judged),
        *drift.shifts(drift.watched(facts, terms, positions), terms, history),
    ]
    return findings, bad


def _named(facts: pd.DataFrame, judged: Judged) -> NDArray[np.int64]:
    """Positions of the rows that a finding may name or that may go to quarantine, ascending."""
    named = [batch.repeating(facts)[:5]]
    for clause, outcome in judged:
        if not outcome.success:
            rows = _rows(outcome)
            named.append(rows if _sends(clause) else rows[:5])
    return np.unique(np.concatenate(named))


def _structure(judged: Judged, problem: str | None) -> list[Finding]:
    """Missing and retyped columns, one finding each."""
    found: dict[str, Finding] = {}
    for clause, outcome in judged:
        name = DERIVED.get(clause.kwargs.get("column", ""), clause.kwargs.get("column", ""))
        if not clause.structural or outcome.success or name in found:
            continue
        got = f"holds {outcome.observed}" if outcome.observed else "is missing"
        got = problem if problem and name in ("text", "series") else got
        message = f"{name}: {clause.rule} is the rule, it {got}; {clause.advice}"
        found[name] = Finding(clause.rule, "critical", 0, message)
    return list(found.values())


def _sends(clause: Clause) -> bool:
    """Whether rows that break it go to quarantine."""
    return not (clause.whole_table or clause.severity == "info")


def _bad_rows(details: pd.DataFrame, judged: Judged) -> pd.DataFrame:
    """Rows of failing expectations (never of those that hold), all reasons joined."""
    reasons: dict[int, list[str]] = {}
    for clause, outcome in judged:
        if outcome.success or not _sends(clause):
            continue
        for position, value in _broken(details, clause, outcome):
            said = reasons.setdefault(position, [])
            reason = f"{clause.rule}{value}"
            said += [] if reason in said else [reason]
    index = pd.Index(sorted(reasons), dtype="int64")
    joined = ["; ".join(reasons[position]) for position in index]
    rows = {"row_id": details["row_id"].loc[index], "reason": pd.Series(joined, index, dtype="str")}
    return pd.DataFrame(rows, index=index)


def _broken(details: pd.DataFrame, clause: Clause, outcome: Outcome) -> list[tuple[int, str]]:
    """Position of each row that breaks the clause, and its value in words."""
    rows = _rows(outcome)
    if clause.value not in details:
        return [(int(row), "") for row in rows]
    values = details[clause.value].loc[pd.Index(rows)].tolist()
    return [(int(row), f" (got {quoted(v)})") for row, v in zip(rows, values, strict=True)]


def _clauses(seen: Survey, details: pd.DataFrame, judged: Judged) -> list[Finding]:
    """What failing expectations say, those told elsewhere left out."""
    return [
        _finding(seen, details, clause, outcome)
        for clause, outcome in judged
        if not (outcome.success or clause.quiet)
    ]


def _finding(seen: Survey, details: pd.DataFrame, clause: Clause, outcome: Outcome) -> Finding:
    if outcome.problem:
        message = (
            f"{clause.rule}: could not be evaluated: {outcome.problem} Correct the expectation; "
            f"columns are {', '.join(seen.columns)}"
        )
        return Finding(clause.rule, "critical", 0, message)
    if outcome.rows is None:
        severity: Severity = "critical" if clause.stops else clause.severity
        observed = f"{outcome.observed!r:.200}"
        message = f"{clause.rule}: does not hold, observed {observed}; {clause.advice}"
        return Finding(clause.rule, severity, 0, message)
    rows = _rows(outcome)
    column = clause.value if clause.value in details else "row_id"
    examples = tuple(short(value) for value in details[column].loc[pd.Index(rows[:5])])
    return Finding(
        clause.rule,
        "critical" if clause.stops else "info" if clause.severity == "info" else "warning",
        len(rows),
        f"{clause.rule}: {len(rows):,} of {len(seen.facts):,} rows break it ({column} "
        f"{', '.join(examples)}{', …' if len(rows) > 5 else ''}); {clause.advice}",
        examples,
    )


def _rows(outcome: Outcome) -> NDArray[np.int64]:
    return np.array([], np.int64) if outcome.rows is None else outcome.rows


def _reason(stops: Sequence[Finding], rows: int, bad: int) -> str:
    if stops:
        more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
        return f"{stops[0].message}{more}"
    share = percent(bad / rows)
    return f"{rows - bad:,} of {rows:,} rows keep the contract; {bad:,} in quarantine ({share})"
