"""One canonical frame against its contract: findings, rows for quarantine, accepted or not.

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
from expectations.audit import audit, input_problem
from expectations.clauses import Clause, from_suite
from expectations.contract import clauses
from expectations.suites import Outcome, evaluate, normalised
from expectations.terms import Finding, History, Report, Severity, Terms
from expectations.words import percent, quoted, short

logger = logging.getLogger(__name__)

DERIVED = {"length": "series", "age_hours": "time"}
Judged = Sequence[tuple[Clause, Outcome]]


def check(
    frame: pd.DataFrame,
    terms: Terms,
    suite: Sequence[dict[str, Any]] | None,
    *,
    history: History,
    docs_dir: Path,
    dropped: int = 0,
) -> Report:
    """Judge a frame and write the Data Docs.

    Args:
        frame: Canonical rows.
        terms: The pipeline's contract.
        suite: Entries of the reviewed suite, on columns of the audit frame; None for none.
        history: Recent nights.
        docs_dir: Folder the pages are written to.
        dropped: Exact duplicates that ingestion has dropped before.

    Raises:
        SuiteError: an entry of the suite that would not be evaluated.
    """
    facts = audit(frame, terms)
    asked = [*clauses(terms), *(from_suite(entry) for entry in normalised(suite or []))]
    evaluation = evaluate(facts, [clause.entry() for clause in asked], "contract")
    judged = list(zip(asked, evaluation.outcomes, strict=True))
    problem = input_problem(frame, terms)
    findings, bad = _judge(facts, judged, terms, problem=problem, history=history, dropped=dropped)
    findings = sorted(findings, key=lambda one: ("critical", "warning", "info").index(one.severity))
    stops = [finding for finding in findings if finding.severity == "critical"]
    reason = _reason(stops, len(facts), len(bad))
    for finding in findings:
        logger.info("%s: %s", finding.severity, finding.message)
    index = docs.publish(evaluation, findings, reason, docs_dir)
    return Report(tuple(findings), bad, not stops, reason, index, len(asked))


def _judge(
    facts: pd.DataFrame,
    judged: Judged,
    terms: Terms,
    *,
    problem: str | None,
    history: History,
    dropped: int,
) -> tuple[list[Finding], pd.DataFrame]:
    nothing = pd.DataFrame({"row_id": [], "reason": []}, dtype="str")
    if not len(facts):
        return [batch.empty(terms)], nothing
    broken = _structure(judged, problem)
    if broken:
        return broken, nothing
    bad = _bad_rows(facts, judged)
    positions = bad.index.to_numpy(np.int64)
    findings = [
        *batch.judge(facts, positions, terms, history, dropped=dropped),
        *recent.completeness(facts, terms, history),
        *_clauses(facts, judged),
        *drift.shifts(facts[~facts.index.isin(positions)], terms, history),
    ]
    return findings, bad


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


def _bad_rows(facts: pd.DataFrame, judged: Judged) -> pd.DataFrame:
    """Rows of failing expectations (never of those that hold), all reasons joined."""
    reasons: dict[int, list[str]] = {}
    for clause, outcome in judged:
        if clause.whole_table or clause.severity == "info" or outcome.success:
            continue
        for position, value in _broken(facts, clause, outcome):
            said = reasons.setdefault(position, [])
            reason = f"{clause.rule}{value}"
            said += [] if reason in said else [reason]
    index = pd.Index(sorted(reasons), dtype="int64")
    joined = ["; ".join(reasons[position]) for position in index]
    rows = {"row_id": facts["row_id"].loc[index], "reason": pd.Series(joined, index, dtype="str")}
    return pd.DataFrame(rows, index=index)


def _broken(facts: pd.DataFrame, clause: Clause, outcome: Outcome) -> list[tuple[int, str]]:
    """Position of each row that breaks the clause, and its value in words."""
    rows = _rows(outcome)
    if clause.value not in facts:
        return [(int(row), "") for row in rows]
    values = facts[clause.value].iloc[rows].tolist()
    return [(int(row), f" (got {quoted(v)})") for row, v in zip(rows, values, strict=True)]


def _clauses(facts: pd.DataFrame, judged: Judged) -> list[Finding]:
    """What failing expectations say, those told elsewhere left out."""
    return [
        _finding(facts, clause, outcome)
        for clause, outcome in judged
        if not (outcome.success or clause.quiet)
    ]


def _finding(facts: pd.DataFrame, clause: Clause, outcome: Outcome) -> Finding:
    if outcome.problem:
        message = (
            f"{clause.rule}: could not be evaluated: {outcome.problem} Correct the expectation; "
            f"columns are {', '.join(facts.columns)}"
        )
        return Finding(clause.rule, "critical", 0, message)
    if outcome.rows is None:
        severity: Severity = "critical" if clause.stops else clause.severity
        seen = f"{outcome.observed!r:.200}"
        message = f"{clause.rule}: does not hold, observed {seen}; {clause.advice}"
        return Finding(clause.rule, severity, 0, message)
    rows = _rows(outcome)
    column = clause.value if clause.value in facts else "row_id"
    examples = tuple(short(value) for value in facts[column].iloc[rows[:5]])
    return Finding(
        clause.rule,
        "critical" if clause.stops else "info" if clause.severity == "info" else "warning",
        len(rows),
        f"{clause.rule}: {len(rows):,} of {len(facts):,} rows break it ({column} "
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
