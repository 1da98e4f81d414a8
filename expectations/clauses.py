"""A clause: one expectation, and the sentences in which its failure is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expectations.terms import Severity


@dataclass(frozen=True)
class Clause:
    """One expectation and how its failure is told.

    Attributes:
        rule: What is asked, in words; also the reason of rows in quarantine.
        type: Name of the expectation in Great Expectations.
        kwargs: Its options.
        severity: `critical` and `warning` send rows to quarantine, `info` only tells.
        advice: What a person can do.
        value: Audit column whose value is quoted beside the rule.
        stops: Whether its failure refuses the batch, rows in quarantine or not.
        quiet: Told by `expectations.batch`, with more numbers.
        whole_table: Its rows are no worse than the others: none goes to quarantine.
        structural: Judged first; the rest makes no sense where it fails.
        meta: Kept in the suite.
    """

    rule: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "critical"
    advice: str = "look at the rows in quarantine"
    value: str | None = None
    stops: bool = False
    quiet: bool = False
    whole_table: bool = False
    structural: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """As an entry of a suite."""
        notes = {"notes": self.rule} | dict(self.meta)
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "meta": notes,
        }


def from_suite(entry: Mapping[str, Any]) -> Clause:
    """An entry of the reviewed suite; `meta.rule` is its sentence, where given."""
    options = ", ".join(f"{name}={value!r}" for name, value in entry["kwargs"].items())
    meta = dict(entry["meta"])
    return Clause(
        rule=str(meta.get("rule") or f"{entry['type']}({options})"),
        type=entry["type"],
        kwargs=entry["kwargs"],
        severity=entry["severity"],
        advice="correct the source, or the pipeline's suite if the rule is out of date",
        value=entry["kwargs"].get("column"),
        meta=meta,
    )


def not_null(name: str, rule: str) -> Clause:
    """Every row has a value; rows without one go to quarantine."""
    return Clause(
        rule,
        "expect_column_values_to_not_be_null",
        {"column": name},
        advice="fill it in at the source, or drop the rows there",
    )


def at_most(name: str, most: float, rule: str, severity: Severity = "critical") -> Clause:
    """A count or share that must not be above a number."""
    kwargs = {"column": name, "max_value": most}
    return Clause(rule, "expect_column_values_to_be_between", kwargs, severity=severity, value=name)
