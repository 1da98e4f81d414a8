"""What the contract asks, what recent nights looked like, and what was found.

Errors:
    ExpectationsError (ValueError)
        SuiteError: a suite in git that cannot be read or evaluated whole: an unknown
            expectation, a misspelled option, a form that is not a suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from expectations.rows import Rows

Severity = Literal["critical", "warning", "info"]


class ExpectationsError(ValueError):
    """Base of what this package raises."""


class SuiteError(ExpectationsError):
    """A suite that Great Expectations would not evaluate whole."""


@dataclass(frozen=True)
class Terms:
    """The contract of one pipeline on one night, in the words of the canonical frame.

    Attributes:
        kind: Whether rows are text or numeric series.
        as_of: End of the logical date, UTC; ages are counted from it.
        now: When the check runs, UTC; a day that is not over then cannot be cut short. None:
            after `as_of`.
        labels: Allowed classes; empty where none is known yet.
        required: Columns asked for besides `row_id`, `label` and the input.
        sources: Canonical column to its name at the source, for messages.
        channels: Channels of each step; None: whatever most rows have.
    """

    kind: Literal["text", "numeric"]
    as_of: datetime
    now: datetime | None = None
    labels: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    channels: int | None = None
    min_rows: int = 100
    min_rows_per_class: int = 5
    min_length: int = 1
    max_length: int = 10_000
    quarantine_budget: float = 0.05
    duplicate_budget: float = 0.3
    conflicting_labels: Literal["quarantine", "tolerate"] = "quarantine"
    new_class: Literal["stop", "quarantine"] = "stop"
    vanished_class: Literal["stop", "tolerate"] = "stop"
    min_share_of_recent_rows: float = 0.5
    max_age_hours: float | None = None

    @property
    def input(self) -> str:
        """The canonical column that holds the sequence."""
        return "text" if self.kind == "text" else "series"


@dataclass(frozen=True)
class Night:
    """What one earlier accepted snapshot held.

    Attributes:
        date: Logical date, ISO.
        rows: Rows of the snapshot.
        classes: Class to rows.
    """

    date: str
    rows: int
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """Recent nights, oldest first, and canonical rows to compare distributions with.

    Attributes:
        nights: Earlier nights, oldest first; empty on night 1.
        reference: Rows that an earlier night accepted.
    """

    nights: tuple[Night, ...] = ()
    reference: Rows | None = None


@dataclass(frozen=True)
class Finding:
    """One rule that did not hold.

    Attributes:
        rule: What was asked, in words.
        severity: `critical` refuses the batch; a `warning` may have sent rows to quarantine.
        rows: Rows that break it; 0 for a rule about the whole table.
        message: Subject, rule, value received, what to do.
        examples: At most five offending values or ids.
    """

    rule: str
    severity: Severity
    rows: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What the contract said of a frame.

    Attributes:
        findings: All rules that did not hold, those that stop the batch first.
        bad_rows: `row_id` and `reason` of rows for quarantine; its index holds their positions
            in the frame that was checked.
        accepted: False refuses the batch.
        reason: One sentence for people.
        docs_index: Index page of the Data Docs.
        evaluated: Expectations that Great Expectations really evaluated.
    """

    findings: tuple[Finding, ...]
    bad_rows: pd.DataFrame
    accepted: bool
    reason: str
    docs_index: Path
    evaluated: int
