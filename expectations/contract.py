"""The pipeline's contract as expectations: what Great Expectations is asked, and in which words.

Rules that need earlier nights, or the rows that are left after quarantine, are in `batch` and
`recent`; those that Great Expectations can also see are asked here too, `quiet`, for the pages.
"""

from __future__ import annotations

from dataclasses import replace

from expectations.clauses import Clause, at_most, not_null
from expectations.terms import Terms
from expectations.words import brief

PLACEHOLDER = r"(?i)^\s*(?:n/?a|#n/a|nan|null|none|nil|undefined|#value!|#ref!|-+|\?+)\s*$"
NUMBER = r"^\s*[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?\s*$"


def structure(terms: Terms) -> list[Clause]:
    """The columns there must be, and their types."""
    named = ("row_id", "label", *(("text",) if terms.kind == "text" else ("length",)))
    clauses = [_exists(name, terms) for name in (*named, *terms.required)]
    texts = ["row_id", "label", *(("text",) if terms.kind == "text" else ())]
    clauses += [_is_text(name, terms) for name in texts]
    if "time" in terms.required:
        clauses.append(_exists("age_hours", terms))
    return clauses


def clauses(terms: Terms) -> list[Clause]:
    """Everything asked of a frame whose columns are right."""
    of_input = _text(terms) if terms.kind == "text" else _series(terms)
    return [*structure(terms), *_rows(terms), *of_input, *_columns(terms), *_table(terms)]


def _at_source(name: str, terms: Terms) -> str:
    source = terms.sources.get(name, name)
    return f"{name} (column {source!r} of the source)" if source != name else name


def _exists(name: str, terms: Terms) -> Clause:
    said = {"length": "series", "age_hours": "time"}.get(name, name)
    need = {"age_hours": "time holds dates with a time zone", "length": "series holds series"}
    return Clause(
        rule=need.get(name, f"column {_at_source(said, terms)} is there"),
        type="expect_column_to_exist",
        kwargs={"column": name},
        advice="the source renamed, dropped or retyped it: correct the source or `columns`",
        stops=True,
        structural=True,
    )


def _is_text(name: str, terms: Terms) -> Clause:
    return Clause(
        rule=f"{_at_source(name, terms)} holds text",
        type="expect_column_values_to_be_of_type",
        kwargs={"column": name, "type_": "str"},
        advice="the source changed its type: correct the source or `columns`",
        stops=True,
        structural=True,
    )


def _rows(terms: Terms) -> list[Clause]:
    policy = terms.conflicting_labels
    label = _at_source("label", terms)
    clauses = [
        not_null("row_id", "row_id is given"),
        Clause(
            "row_id is unique", "expect_column_values_to_be_unique", {"column": "row_id"},
            advice="two rows bear one id: correct the source or `columns.id`", value="row_id",
        ),
        not_null("label", f"{label} is given"),
        Clause(
            "no row with the same input has another label",
            "expect_column_values_to_be_between",
            {"column": "conflicts", "max_value": 0},
            severity="warning" if policy == "quarantine" else "info",
            advice="decide which label is right, or set contract.conflicting_labels: tolerate",
            value="label",
        ),
    ]  # fmt: skip
    if terms.labels:
        clauses.append(
            Clause(
                f"{label} is one of {brief(terms.labels)}",
                "expect_column_values_to_be_in_set",
                {"column": "label", "value_set": list(terms.labels)},
                severity="critical" if terms.new_class == "stop" else "warning",
                value="label",
                quiet=True,
            )
        )
    return clauses


def _text(terms: Terms) -> list[Clause]:
    text = _at_source("text", terms)
    return [
        not_null("text", f"{text} is given"),
        Clause(
            f"most values of {text} are words, not numbers",
            "expect_column_values_to_not_match_regex",
            {"column": "text", "regex": NUMBER, "mostly": 0.5},
            advice="the source retyped or swapped the column: correct the source or `columns`",
            stops=True,
            whole_table=True,
        ),
        Clause(
            f"{text} is no placeholder such as N/A or null",
            "expect_column_values_to_not_match_regex",
            {"column": "text", "regex": PLACEHOLDER},
            severity="warning",
            value="text",
        ),
        _length("words", terms),
    ]


def _series(terms: Terms) -> list[Clause]:
    clauses = [
        not_null("length", f"{_at_source('series', terms)} is given"),
        _length("steps", terms),
        at_most("infinite", 0, "no value is infinite"),
        at_most("sentinels", 0, "no value is a code for missing, such as 9999", "warning"),
        Clause(
            "not all values are missing",
            "expect_column_values_to_be_between",
            {"column": "missing_share", "max_value": 1, "strict_max": True},
            value="missing_share",
        ),
    ]
    if terms.channels:
        clauses.append(
            Clause(
                f"each step has {terms.channels} channels",
                "expect_column_values_to_be_in_set",
                {"column": "channels", "value_set": [terms.channels, 0]},
                value="channels",
            )
        )
    return clauses


def _columns(terms: Terms) -> list[Clause]:
    clauses = []
    if "time" in terms.required:
        given = not_null("time", f"{_at_source('time', terms)} is a date")
        official = "split" in terms.required  # whose rows stay, and need no time to be placed
        clauses.append(replace(given, severity="info") if official else given)
        clauses.append(
            Clause(
                f"time is not after the logical date ({terms.as_of:%Y-%m-%d %H:%M} UTC)",
                "expect_column_values_to_be_between",
                {"column": "age_hours", "min_value": 0},
                value="time",
            )
        )
    if "split" in terms.required:
        clauses.append(
            Clause(
                f"{_at_source('split', terms)} is train, validation or test",
                "expect_column_values_to_be_in_set",
                {"column": "split", "value_set": ["train", "validation", "test"]},
                value="split",
            )
        )
        clauses.append(not_null("split", "split is given"))
    return clauses


def _table(terms: Terms) -> list[Clause]:
    """Rules about the whole table, asked for the Data Docs; `batch` says them with history."""
    clauses = [
        Clause(
            f"at least {terms.min_rows:,} rows", "expect_table_row_count_to_be_between",
            {"min_value": terms.min_rows}, quiet=True,
        ),
        Clause(
            "at least two classes", "expect_column_unique_value_count_to_be_between",
            {"column": "label", "min_value": 2}, quiet=True,
        ),
    ]  # fmt: skip
    if terms.labels:
        clauses.append(
            Clause(
                "every class has rows",
                "expect_column_distinct_values_to_contain_set",
                {"column": "label", "value_set": list(terms.labels)},
                severity="critical" if terms.vanished_class == "stop" else "warning",
                quiet=True,
            )
        )
    return clauses


def _length(unit: str, terms: Terms) -> Clause:
    return Clause(
        f"{terms.input} has {terms.min_length:,} to {terms.max_length:,} {unit}",
        "expect_column_values_to_be_between",
        {"column": "length", "min_value": terms.min_length, "max_value": terms.max_length},
        advice="correct the rows, or contract.min_length and contract.max_length",
        value="length",
    )
