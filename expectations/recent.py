"""Tonight against recent nights and days: is the batch whole, and is it new?"""

from __future__ import annotations

import statistics

import pandas as pd

from expectations.terms import Finding, History, Terms
from expectations.words import percent

WINDOW = 14
LEAST_DAYS = 3


def completeness(facts: pd.DataFrame, terms: Terms, history: History) -> list[Finding]:
    """Findings about a batch that is cut short or too old; all refuse it.

    Args:
        facts: What is held of all rows, `expectations.facts`.
        terms: The contract.
        history: Recent nights.
    """
    timed = "age_hours" in facts and facts["age_hours"].notna().any()
    found = [_rows(facts, terms, history)]
    if timed:
        found += [_last_day(facts, terms), _age(facts, terms)]
    return [finding for finding in found if finding]


def _rows(facts: pd.DataFrame, terms: Terms, history: History) -> Finding | None:
    rows = [night.rows for night in history.nights[-WINDOW:] if night.rows]
    if not rows:
        return None
    usual = statistics.median(rows)
    if len(facts) >= terms.min_share_of_recent_rows * usual:
        return None
    return Finding(
        f"at least {percent(terms.min_share_of_recent_rows)} of the rows of recent nights",
        "critical",
        0,
        f"rows {percent(len(facts) / usual)} of the {len(rows)}-night median ({len(facts):,} of "
        f"{usual:,.0f}){_last(facts)}; the batch was probably cut short: wait until it is whole, "
        "or lower contract.min_share_of_recent_rows",
    )


def _last_day(facts: pd.DataFrame, terms: Terms) -> Finding | None:
    """The last whole day's rows against the days before it, week days considered."""
    end = min(pd.Timestamp(terms.as_of), pd.Timestamp(terms.now or terms.as_of))
    day = (end - pd.Timedelta(days=1, microseconds=-1)).normalize()
    of_day = facts[facts["time"].dt.normalize() == day]
    counts = facts["time"].dt.normalize().value_counts()
    before = counts[counts.index < day]
    recent = before[before.index >= day - pd.Timedelta(days=WINDOW)]
    same = before.reindex([day - pd.Timedelta(weeks=week) for week in range(1, 5)]).dropna()
    if of_day.empty or len(recent) < LEAST_DAYS:
        return None
    usual = float(recent.median())
    expected = min(usual, float(same.median())) if len(same) >= 2 else usual
    if len(of_day) >= terms.min_share_of_recent_rows * expected:
        return None
    return Finding(
        f"at least {percent(terms.min_share_of_recent_rows)} of the rows of recent days",
        "critical",
        0,
        f"rows {percent(len(of_day) / usual)} of the {len(recent)}-day median on {day:%Y-%m-%d} "
        f"({len(of_day):,} of {usual:,.0f}){_last(of_day)}; the day was probably cut short: wait "
        "until it is whole, or lower contract.min_share_of_recent_rows",
    )


def _age(facts: pd.DataFrame, terms: Terms) -> Finding | None:
    if terms.max_age_hours is None:
        return None
    early = pd.Timestamp(terms.as_of) - pd.Timestamp(terms.now or terms.as_of)
    age = float(facts["age_hours"].min()) - max(early.total_seconds(), 0.0) / 3600
    if age <= terms.max_age_hours:
        return None
    return Finding(
        f"newest row at most {terms.max_age_hours:g} hours old",
        "critical",
        0,
        f"time: the newest row ({facts['time'].max():%Y-%m-%d %H:%M}) is {age:,.0f} hours older "
        f"than the end of the logical date or now, at most {terms.max_age_hours:g} are allowed; "
        "the source has stopped growing: check what fills it, or raise contract.max_age_hours",
    )


def _last(facts: pd.DataFrame) -> str:
    if "age_hours" not in facts or facts["time"].isna().all():
        return ""
    return f"; last row at {facts['time'].max():%H:%M}"
