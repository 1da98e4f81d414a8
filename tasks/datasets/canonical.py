"""From whatever a source holds to the one frame that every room of the house reads.

Columns of a canonical frame: `row_id` (str), `label` (str or missing), `text` (str) or `series`
(list of steps, each a list of channels, float32), and where the pipeline names them `time`
(datetime64[us, UTC]), `group`, `split` (train, validation, test) and each slice under its own
name (str). One row is one example; the index counts from 0.

Rows with something missing are kept: validation puts them into quarantine with a reason.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.config import Choice, ConfigError, Pipeline, resolve
from tasks.datasets import READERS
from tasks.datasets.columns import label_of, name_of, split_of, times_of
from tasks.datasets.contents import fingerprints, plain
from tasks.datasets.errors import DataError
from tasks.datasets.examples import examples
from tasks.datasets.series import as_series

RESERVED = ("row_id", "label", "text", "series", "time", "group", "split")


@dataclass
class Before:
    """What the parts of a source said that came before, so that parts are read as the whole is.

    Attributes:
        untold: Rows so far of each content that is told apart by a number.
        timed: Whether any time could be read.
        unread: The first of a column of times of which none could be read, and the column.
    """

    untold: dict[str, int] = field(default_factory=dict)
    timed: bool = False
    unread: tuple[str, Any] | None = None

    def times(self, facts: pa.Table, name: str, times: pd.Series) -> None:
        """Note whether times could be read."""
        self.timed = self.timed or bool(times.notna().any())
        if not (self.timed or self.unread):
            given = facts.column(name).drop_null()
            self.unread = (name, given[0].as_py()) if len(given) else None

    def end(self) -> None:
        """The source has no more parts.

        Raises:
            DataError: there were times, and none of them could be read.
        """
        if self.unread and not self.timed:
            name, example = self.unread
            raise DataError(
                f"time column {name!r}: no value is ISO 8601, such as 2026-01-31T18:00:00Z; the "
                f"first is {example!r}; convert it in the source"
            )


def end_of(logical_date: date) -> datetime:
    """The last instant of a logical date, in UTC."""
    return datetime.combine(logical_date, time.max, UTC)


def table_of(choice: Choice, until: datetime | None) -> pa.Table:
    """What one reader gives with the options chosen; raises as `reading.frames` does."""
    return reader_of(choice)(until)


def reader_of(choice: Choice) -> Callable[[datetime | None], pa.Table]:
    """A reader with the options chosen.

    Raises:
        ConfigError: an unknown reader or option, or a required option that is not given.
    """
    reader = resolve(READERS, choice, "reader")
    parameters = inspect.signature(reader).parameters.values()
    keywords = (p for p in parameters if p.kind is p.KEYWORD_ONLY)
    missing = [p.name for p in keywords if p.default is p.empty]
    if missing:
        raise ConfigError(f"reader {choice.name!r}: option {missing[0]!r} is required and missing")
    return reader


def canonical(
    table: pa.Table,
    pipeline: Pipeline,
    labels: pa.Table | None = None,
    *,
    need_labels: bool = True,
    before: Before | None = None,
) -> pd.DataFrame:
    """A source's table as a canonical frame, in the source's order.

    Series stored one row a step become one row each, in the order in which they first appear.
    Without an id column, `row_id` is the sha256 of the content, so equal rows share one.

    Args:
        table: The source's rows.
        pipeline: Says which column plays which part.
        labels: Second table with the id and what is known of each series or text.
        need_labels: False for rows to score: only the input must be there, and other columns
            are taken where they are.
        before: The table is a part of the source, and these are the parts before it.

    Raises:
        DataError: a column that is not there or of the wrong type, values of a split column that
            are no split, or series that do not fit together.
    """
    columns, so_far = pipeline.columns, Before() if before is None else before
    rows = examples(table, columns, labels, need_labels=need_labels)
    wanted = [("label", columns.label), ("time", columns.time), ("group", columns.group)]
    wanted += [("split", columns.split), *((name, name) for name in _slices(pipeline))]
    frame = {"text": _as_str(rows.inputs)} if columns.text else {"series": as_series(rows.inputs)}
    for part, name in wanted:
        if name and (need_labels or name in rows.facts.column_names):
            frame[part] = _READ.get(part, _names)(rows.facts, name)
    frame.setdefault("label", pd.Series(np.nan, range(len(rows.facts)), dtype="str"))
    order = ("label", "text", "series", "time", "group", "split", *pipeline.evaluation.slices)
    ordered = {part: frame[part] for part in order if part in frame}
    if "time" in frame:
        so_far.times(rows.facts, str(columns.time), frame["time"])
    if before is None:
        so_far.end()
    return pd.DataFrame({"row_id": _row_ids(rows.ids, ordered, so_far.untold), **ordered})


def _slices(pipeline: Pipeline) -> tuple[str, ...]:
    for name in pipeline.evaluation.slices:
        if name in RESERVED:
            raise DataError(
                f"evaluation.slices: {name!r} is a name of Nocturne's own; slices by time and "
                "length are always made, and other columns need another name in the source"
            )
    return pipeline.evaluation.slices


def _row_ids(
    ids: pa.Array | None, frame: Mapping[str, pd.Series], untold: dict[str, int]
) -> pd.Series:
    """The ids given; where there is none, a hash of input, label and split.

    Rows that are never dropped as duplicates (something is missing, or an official split gives
    them) are told apart by a number.
    """
    label = frame["label"]
    inputs = frame["text"] if "text" in frame else frame["series"]
    none = pd.Series(np.nan, label.index, dtype="str")
    given = none if ids is None else _as_str(ids)
    alike = inputs.isna() | label.isna()
    if "split" in frame:
        alike |= frame["split"] != "train"
    asked = given.isna() | alike  # those that have an id are only counted
    if not asked.any():
        return given
    some = {name: column[asked] for name, column in frame.items()}
    names = _content_ids(inputs[asked], some, alike[asked].tolist(), untold)
    hashed = pd.Series(list(names), label.index[asked], dtype="str")
    return given.where(given.notna(), hashed.reindex(label.index))


def _content_ids(
    inputs: pd.Series, frame: Mapping[str, pd.Series], alike: list[bool], untold: dict[str, int]
) -> Iterator[str]:
    prints = fingerprints(inputs)
    labels = plain(frame["label"])
    splits = frame["split"].tolist() if "split" in frame else ["train"] * len(prints)
    for content, label, split, several in zip(prints, labels, splits, alike, strict=True):
        told = "\0".join([content or "-", label or "-", split])
        name = hashlib.sha256(told.encode()).hexdigest()[:32]
        if several:
            untold[name] = untold.get(name, -1) + 1
            name = f"{name}-{untold[name]}"
        yield name


def _as_str(values: pa.Array) -> pd.Series:
    return pd.Series(values.to_pandas(), dtype="str")


def _names(facts: pa.Table, name: str) -> pd.Series:
    return _as_str(name_of(facts, name))


_READ: dict[str, Callable[[pa.Table, str], pd.Series]] = {
    "label": lambda facts, name: _as_str(label_of(facts, name)),
    "time": times_of,
    "split": lambda facts, name: _as_str(split_of(facts, name)),
}
