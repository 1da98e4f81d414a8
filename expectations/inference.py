"""A suite inferred from data, for a person to review and keep in git beside the pipeline.

It asks for what the contract does not: that lengths, values, time and slices stay near what was
seen. Every option is written out, because Great Expectations leaves out those that equal its
defaults, and a changed default would change the suite in silence. No library is imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from expectations.audit import audit
from expectations.drift import MOST_CATEGORIES
from expectations.terms import Severity, Terms
from expectations.words import percent


def infer_suite(frame: pd.DataFrame, terms: Terms) -> dict[str, Any]:
    """Expectations with room around what the frame holds; the frame itself passes them.

    Args:
        frame: Canonical rows.
        terms: The pipeline's contract; columns it requires beyond its own are slices.

    Returns:
        The suite as JSON, in the form of `expectations.suites`.
    """
    facts = audit(frame, terms)
    facts = facts[facts["length"].fillna(0) > 0] if "length" in facts else facts
    entries = []
    if len(facts):
        of_input = _text(facts) if terms.kind == "text" else _series(facts)
        entries = [_typical_length(facts), *of_input, *_columns(facts, terms)]
    return {
        "meta": {
            "inferred_from_rows": len(frame),
            "how_to_review": "Each rule is in meta.rule. critical and warning send the rows that "
            "break it to quarantine, and a critical one about the whole table stops the night; "
            "info only tells. Change or delete what is not a law of your data.",
        },
        "expectations": entries,
    }


def _text(facts: pd.DataFrame) -> list[dict[str, Any]]:
    longest, unique = int(facts["characters"].max()), facts["text"].nunique() / len(facts)
    return [
        _within("characters", 1, 2 * longest, f"1 to {2 * longest:,} characters", "warning"),
        _entry(
            "expect_column_proportion_of_unique_values_to_be_between",
            f"at least {percent(unique / 2)} of the texts are different from each other",
            "warning",
            column="text",
            min_value=_rounded(unique / 2),
            max_value=1.0,
            strict_min=False,
            strict_max=False,
        ),
    ]


def _series(facts: pd.DataFrame) -> list[dict[str, Any]]:
    low, high = float(facts["smallest"].min()), float(facts["largest"].max())
    entries = []
    if np.isfinite(low) and np.isfinite(high):
        room = (high - low) or max(abs(high), 1.0)
        low, high = _rounded(low - room), _rounded(high + room)
        rule = f"every value is between {low:g} and {high:g}"
        entries = [_within(name, low, high, rule, "critical") for name in ("smallest", "largest")]
    gaps = min(1.0, max(0.05, 2 * float(facts["missing_share"].max())))
    rule = f"at most {percent(gaps)} of the values of a series are missing"
    entries.append(_within("missing_share", 0.0, _rounded(gaps), rule, "warning"))
    seen = sorted(int(n) for n in facts["channels"].unique())
    entries.append(_among("channels", seen, f"channels are {seen}", "critical"))
    return entries


def _columns(facts: pd.DataFrame, terms: Terms) -> list[dict[str, Any]]:
    entries = []
    if "time" in terms.required and facts["time"].notna().any():
        first = (facts["time"].min() - pd.Timedelta(days=366)).normalize()
        rule = f"time is not before {first:%Y-%m-%d}, as 1970-01-01 would be"
        entries.append(_within("time", first.isoformat(), None, rule, "warning"))
    for name in terms.required:
        values = sorted(facts[name].dropna().unique()) if name in facts else []
        if name not in ("time", "group", "split") and 0 < len(values) <= MOST_CATEGORIES:
            shown = [str(value) for value in values]
            entries.append(_among(name, shown, f"{name} has no value never seen before", "info"))
    return entries


def _typical_length(facts: pd.DataFrame) -> dict[str, Any]:
    median = float(facts["length"].median())
    low, high = _rounded(median / 2), _rounded(median * 2)
    return _entry(
        "expect_column_median_to_be_between",
        f"the median length is between {low:g} and {high:g}",
        "warning",
        column="length",
        min_value=low,
        max_value=high,
        strict_min=False,
        strict_max=False,
    )


def _within(column: str, low: Any, high: Any, rule: str, severity: Severity) -> dict[str, Any]:
    return _entry(
        "expect_column_values_to_be_between",
        rule,
        severity,
        column=column,
        min_value=low,
        max_value=high,
        strict_min=False,
        strict_max=False,
        mostly=1.0,
    )


def _among(column: str, values: list[Any], rule: str, severity: Severity) -> dict[str, Any]:
    kind = "expect_column_values_to_be_in_set"
    return _entry(kind, rule, severity, column=column, value_set=values, mostly=1.0)


def _entry(kind: str, rule: str, severity: Severity, **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity, "meta": {"rule": rule}}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
