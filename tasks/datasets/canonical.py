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
from datetime import UTC, date, datetime, time

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


def end_of(logical_date: date) -> datetime:
    """The last instant of a logical date, in UTC."""
    return datetime.combine(logical_date, time.max, UTC)


def read(pipeline: Pipeline, logical_date: date) -> pd.DataFrame:
    """The source's rows up to the end of the logical date, canonical.

    Rows whose time is missing or unreadable stay.

    Raises:
        ConfigError: an unknown reader or option, or a required option that is not given.
        DataError: a source that cannot be read or does not hold what the pipeline names.
        StorageError: an object store that does not answer or refuses.
    """
    until = end_of(logical_date)
    source = pipeline.source
    table = table_of(source.reader, until)
    labels = table_of(source.labels, until) if source.labels else None
    frame = canonical(table, pipeline, labels)
    if "time" in frame:
        frame = frame[~(frame["time"] > until)].reset_index(drop=True)
    return frame


def table_of(choice: Choice, until: datetime | None) -> pa.Table:
    """What one reader gives with the options chosen; raises as `read` does."""
    reader = resolve(READERS, choice, "reader")
    parameters = inspect.signature(reader).parameters.values()
    keywords = (p for p in parameters if p.kind is p.KEYWORD_ONLY)
    missing = [p.name for p in keywords if p.default is p.empty]
    if missing:
        raise ConfigError(f"reader {choice.name!r}: option {missing[0]!r} is required and missing")
    return reader(until)


def canonical(
    table: pa.Table,
    pipeline: Pipeline,
    labels: pa.Table | None = None,
    *,
    need_labels: bool = True,
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

    Raises:
        DataError: a column that is not there or of the wrong type, values of a split column that
            are no split, or series that do not fit together.
    """
    columns = pipeline.columns
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
    return pd.DataFrame({"row_id": _row_ids(rows.ids, ordered), **ordered})


def _slices(pipeline: Pipeline) -> tuple[str, ...]:
    for name in pipeline.evaluation.slices:
        if name in RESERVED:
            raise DataError(
                f"evaluation.slices: {name!r} is a name of Nocturne's own; slices by time and "
                "length are always made, and other columns need another name in the source"
            )
    return pipeline.evaluation.slices


def _row_ids(ids: pa.Array | None, frame: Mapping[str, pd.Series]) -> pd.Series:
    given = _as_str(ids) if ids is not None else None
    if given is not None and given.notna().all():
        return given
    hashed = pd.Series(list(_content_ids(frame)), dtype="str")
    return hashed if given is None else given.fillna(hashed)


def _content_ids(frame: Mapping[str, pd.Series]) -> Iterator[str]:
    """A hash of input, label and split.

    Rows that are never dropped as duplicates (something is missing, or an official split gives
    them) are told apart by a number.
    """
    inputs = frame["text"] if "text" in frame else frame["series"]
    prints = fingerprints(inputs)
    labels = plain(frame["label"])
    splits = frame["split"].tolist() if "split" in frame else ["train"] * len(prints)
    seen: dict[str, int] = {}
    for content, label, split in zip(prints, labels, splits, strict=True):
        told = "\0".join([content or "-", label or "-", split])
        name = hashlib.sha256(told.encode()).hexdigest()[:32]
        if content is None or label is None or split != "train":
            seen[name] = seen.get(name, -1) + 1
            name = f"{name}-{seen[name]}"
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
