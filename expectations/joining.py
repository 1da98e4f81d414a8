"""What Great Expectations says of rows that come in parts, as if it had seen them as one.

An expectation of rows is asked of each part, and its counts are added up. One that needs the
whole table is asked of the columns that it names.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.suites import Evaluation, Outcome, great_expectations, suite_of

SHOWN = 20  # values that the Data Docs list
# of values, yet not of each alone
_TOGETHER = (
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_values_to_not_be_outliers",
)
# of the columns, whatever rows there are
_COLUMNS = ("expect_column_to_exist", "expect_column_type_to_be", "expect_table_column")
COUNTING = (
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
)


def by_part(entry: Mapping[str, Any]) -> bool:
    """Whether an expectation can be asked of one part after the other."""
    kind = str(entry["type"])
    if kind in _TOGETHER:  # rows come in the order of their ids, each once
        return bool(entry["kwargs"].get("column") == "row_id")
    if kind.startswith(_COLUMNS):
        return True
    great_expectations()
    bases = importlib.import_module("great_expectations.expectations.expectation")
    known = importlib.import_module("great_expectations.expectations.registry")
    maps = (
        bases.ColumnMapExpectation,
        bases.ColumnPairMapExpectation,
        bases.MulticolumnMapExpectation,
    )
    types = known.list_registered_expectation_implementations()
    return kind in types and issubclass(known.get_expectation_impl(kind), maps)


def columns_of(entry: Mapping[str, Any]) -> set[str]:
    """The columns that an expectation names."""
    options = entry["kwargs"]
    one = [options.get(name) for name in ("column", "column_A", "column_B")]
    return {name for name in (*one, *options.get("column_list", ())) if name}


class Joined:
    """Evaluations in, one evaluation out.

    Args:
        asked: Every entry, in order.
        name: Of the suite.
    """

    def __init__(self, asked: Sequence[Mapping[str, Any]], name: str) -> None:
        self._asked, self._name = asked, name
        self._sums = [_Sum() for _ in asked]
        self._first: Any = None

    def add(self, evaluation: Evaluation, places: Sequence[int]) -> None:
        """What was said of some rows.

        Args:
            evaluation: Of the entries at these places.
            places: Of each of its outcomes among all entries.
        """
        self._first = self._first or evaluation.result
        said = zip(places, evaluation.outcomes, evaluation.items, strict=True)
        for place, outcome, item in said:
            self._sums[place].add(outcome, item)

    def evaluation(self) -> Evaluation:
        """All of it."""
        outcomes = tuple(one.outcome() for one in self._sums)
        items = tuple(one.item() for one in self._sums)
        held = sum(bool(item.success) for item in items)
        result = self._first
        result.results, result.success = list(items), held == len(items)
        result.statistics = {
            "evaluated_expectations": len(items),
            "successful_expectations": held,
            "unsuccessful_expectations": len(items) - held,
            "success_percent": 100 * held / len(items),
        }
        return Evaluation(outcomes, suite_of(self._asked, self._name), result, items)


class _Sum:
    """One expectation over all parts."""

    def __init__(self) -> None:
        self._item: Any = None
        self._parts = 0
        self._holds = True
        self._problem: str | None = None
        self._counts: Counter[str] = Counter()
        self._rows: list[NDArray[np.int64]] | None = None
        self._observed: Any = None
        self._listed: list[Any] = []
        self._common: Counter[Any] = Counter()

    def add(self, outcome: Outcome, item: Any) -> None:
        if self._item is None or (self._holds and not outcome.success):
            self._item, self._observed = item, outcome.observed
        self._parts += 1
        self._holds &= outcome.success
        self._problem = self._problem or outcome.problem
        if outcome.rows is not None:
            self._rows = [*(self._rows or []), outcome.rows]
        for name in ("element_count", "missing_count", "unexpected_count"):
            self._counts[name] += item.result.get(name) or 0
        self._listed = (self._listed + (item.result.get("partial_unexpected_list") or []))[:SHOWN]
        for one in item.result.get("partial_unexpected_counts") or []:
            if "value" in one:
                self._common[_hashable(one["value"])] += one["count"]
        for name in ("unexpected_list", "unexpected_index_list"):
            item.result.pop(name, None)

    @property
    def success(self) -> bool:
        """As Great Expectations decides it, over the sums."""
        given = self._counts["element_count"] - self._counts["missing_count"]
        if self._holds or self._problem or not given:
            return self._holds
        mostly = self._item.expectation_config.kwargs.get("mostly", 1)
        return bool((given - self._counts["unexpected_count"]) / given >= mostly)

    def outcome(self) -> Outcome:
        rows = None if self._rows is None else np.concatenate(self._rows)
        return Outcome(self.success, rows, self._observed, self._problem)

    def item(self) -> Any:
        """For the Data Docs; the most frequent values are those of each part."""
        if self._parts > 1 and self._counts["element_count"]:
            self._item.success = self.success
            self._item.result.update(self._totals())
        return self._item

    def _totals(self) -> dict[str, Any]:
        found, counts = self._item.result, self._counts
        positions = np.concatenate([np.empty(0, np.int64), *(self._rows or [])])
        rows, bad = counts["element_count"], counts["unexpected_count"]
        given = rows - counts["missing_count"]
        common = sorted(self._common.most_common(SHOWN), key=lambda one: (-one[1], str(one[0])))
        totals = {
            **counts,
            "unexpected_percent": bad / given * 100 if given else None,
            "missing_percent": counts["missing_count"] / rows * 100,
            "unexpected_percent_total": bad / rows * 100,
            "unexpected_percent_nonmissing": bad / given * 100 if given else None,
            "partial_unexpected_list": self._listed,
            "partial_unexpected_counts": [{"value": v, "count": n} for v, n in common],
            "partial_unexpected_index_list": positions[:SHOWN].tolist(),
        }
        return {name: value for name, value in totals.items() if name in found}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
