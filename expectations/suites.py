"""Suites as JSON in git, and their evaluation by Great Expectations, whole or not at all.

Great Expectations logs and drops an expectation of an unknown type and calls a suite of none
a success; here each expectation asked for is evaluated, or a SuiteError names the one that
cannot be.

A suite is a list, or a mapping with that list under `expectations`, of
`{"type": ..., "kwargs": {...}, "severity": "critical|warning|info", "meta": {...}}`.
Columns are those of the audit frame (`expectations.audit`).
"""

from __future__ import annotations

import difflib
import importlib
import json
import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.terms import SuiteError

KEYS = ("type", "kwargs", "severity", "meta")
IGNORED = ("id", "rendered_content", "description", "notes", "windows", "batch_id")
SEVERITIES = ("critical", "warning", "info")
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


@dataclass(frozen=True)
class Outcome:
    """What one expectation said.

    Attributes:
        success: Whether it holds.
        rows: Positions that break it, tolerated ones included; None for a table-level one.
        observed: The value a table-level expectation saw.
        problem: Why it could not be computed, or None.
    """

    success: bool
    rows: NDArray[np.int64] | None
    observed: Any
    problem: str | None


@dataclass(frozen=True)
class Evaluation:
    """Outcomes in the order asked, and what the Data Docs are drawn from.

    Attributes:
        outcomes: In the order asked.
        suite: What was asked, as the library has it.
        result: What it said.
        items: What it said of each, in the order asked; its `result` holds the same.
    """

    outcomes: tuple[Outcome, ...]
    suite: Any
    result: Any
    items: tuple[Any, ...]


def great_expectations() -> Any:
    """The library, imported on first use (7 s), silent and without telemetry."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():  # it imports a deprecated module of the standard library
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("great_expectations")


def read_suite(path: Path) -> list[dict[str, Any]]:
    """The expectations of a suite file.

    Raises:
        SuiteError: no such file, no JSON, or not the form above.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SuiteError(
            f"{path}: no such suite; write one with `nocturne init` or clear contract.suite"
        ) from None
    except (ValueError, OSError) as error:
        raise SuiteError(f"{path}: cannot be read as JSON: {error}") from None
    try:
        return normalised(content)
    except SuiteError as error:
        raise SuiteError(f"{path}: {error}") from None


def normalised(content: Any) -> list[dict[str, Any]]:
    """The entries of a suite with every key present, checked for form.

    Raises:
        SuiteError: an entry that is not of the form in the module's docstring.
    """
    entries = content.get("expectations") if isinstance(content, Mapping) else content
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise SuiteError(
            'a suite is a list of expectations, or {"expectations": [...]}; '
            f"got {type(content).__name__} without one"
        )
    return [_entry(entry, at) for at, entry in enumerate(entries)]


def _entry(entry: Any, at: int) -> dict[str, Any]:
    where = f"expectation {at}"
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise SuiteError(f'{where}: expected {{"type": ..., "kwargs": ...}}, got {entry!r:.100}')
    for key in entry:
        if key not in (*KEYS, *IGNORED):
            raise SuiteError(f"{where}: {_unknown('key', key, KEYS)}")
    full = {"kwargs": {}, "severity": "critical", "meta": {}} | {
        key: entry[key] for key in KEYS if entry.get(key) is not None
    }
    if full["severity"] not in SEVERITIES:
        raise SuiteError(f"{where}: {_unknown('severity', str(full['severity']), SEVERITIES)}")
    for key in ("kwargs", "meta"):
        if not isinstance(full[key], Mapping):
            raise SuiteError(f"{where}: {key} must be a mapping, got {full[key]!r:.100}")
    return full


def evaluate(frame: pd.DataFrame, asked: Sequence[Mapping[str, Any]], name: str) -> Evaluation:
    """Judge the frame by every expectation asked for, with row-level results in full.

    Args:
        frame: Audit frame with a RangeIndex, so that index labels are positions.
        asked: Normalised entries.
        name: Of the suite, for the Data Docs.

    Raises:
        SuiteError: an entry that Great Expectations would not evaluate.
    """
    gx, suite, seen = great_expectations(), suite_of(asked, name), frame.copy(deep=False)
    with warnings.catch_warnings():  # pandas warns of a pattern with groups, which is fine here
        warnings.filterwarnings("ignore", "This pattern is interpreted", UserWarning)
        result = _batch(gx, seen).validate(suite, result_format=RESULT_FORMAT)
    for column in list(seen):  # its context refers to itself, and would keep all rows until the
        del seen[column]  # collector comes by
    for item in result.results:  # its pages cannot be drawn from NumPy's numbers
        item.result = _plain(item.result)
    counted = result.statistics["evaluated_expectations"]
    by_place = {item.expectation_config.meta["place"]: item for item in result.results}
    if not len(asked) == len(suite.expectations) == counted == len(by_place):
        raise SuiteError(
            f"suite {name!r}: {len(asked)} expectations were asked for and {counted} evaluated; "
            "a suite must be evaluated whole; report this with the suite"
        )
    items = tuple(by_place[at] for at in range(len(asked)))
    return Evaluation(tuple(map(_outcome, items)), suite, result, items)


def suite_of(asked: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The library's own suite of normalised entries; raises as `evaluate` does."""
    built = [_build(entry, at) for at, entry in enumerate(asked)]
    return great_expectations().ExpectationSuite(name=name, expectations=built)


def _batch(gx: Any, frame: pd.DataFrame) -> Any:
    """The frame as a batch, in a context that draws no bars, writes nothing and tells nobody."""
    base = importlib.import_module("great_expectations.data_context.types.base")
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("snapshots").add_dataframe_asset("rows")
    whole = asset.add_batch_definition_whole_dataframe("all")
    return whole.get_batch(batch_parameters={"dataframe": frame})


def _build(entry: Mapping[str, Any], at: int) -> Any:
    """The expectation object; what the suite's own constructor would drop raises here."""
    config = importlib.import_module("great_expectations.expectations.expectation_configuration")
    known = importlib.import_module("great_expectations.expectations.registry")
    where = f"expectation {at} ({entry['type']})"
    types = known.list_registered_expectation_implementations()
    if entry["type"] not in types:
        raise SuiteError(f"expectation {at}: {_unknown('type', entry['type'], types)}")
    meta = {**entry["meta"], "place": at}
    try:
        return config.ExpectationConfiguration(
            type=entry["type"],
            kwargs=dict(entry["kwargs"]),
            severity=entry["severity"],
            meta=meta,
        ).to_domain_obj()
    except ValueError as error:
        options = known.get_expectation_impl(entry["type"]).__fields__
        raise SuiteError(f"{where}: {_explain(error, options)}") from None


def _explain(error: ValueError, options: Iterable[str]) -> str:
    """A pydantic error of the library, with the nearest right option for a misspelled one."""
    items: list[dict[str, Any]] = getattr(error, "errors", lambda: [])()
    extra = [str(item["loc"][-1]) for item in items if item["type"] == "value_error.extra"]
    if extra:
        hidden = {"id", "meta", "notes", "rendered_content", "windows", "batch_id", "severity"}
        return "; ".join(_unknown("option", name, set(options) - hidden) for name in extra)
    said = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in items]
    return "; ".join(said) or str(error)


def _outcome(item: Any) -> Outcome:
    details = item.exception_info or {}
    parts = [details] if "raised_exception" in details else list(details.values())
    raised = [str(part["exception_message"]) for part in parts if part.get("raised_exception")]
    rows = item.result.get("unexpected_index_list")
    return Outcome(
        success=bool(item.success) and not raised,
        rows=None if rows is None else np.unique(np.asarray(rows, np.int64)),
        observed=item.result.get("observed_value"),
        problem=raised[0] if raised else None,
    )


def _plain(value: Any) -> Any:
    """The same with Python's own scalars, lists and mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _plain(value.tolist()) if isinstance(value, np.ndarray | np.generic) else value


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"
