"""A source's rows as canonical frames, a part at a time, as they would be read whole.

What cannot be read in parts is read whole and then cut: readers without an entry in STREAMS, and
series one row a step out of a database, whose columns may change their type on the way. A second
table of labels is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import types

from tasks.config import Choice, Pipeline
from tasks.datasets import STREAMS, parts
from tasks.datasets.canonical import Before, canonical, end_of, reader_of, table_of
from tasks.datasets.columns import name_of
from tasks.datasets.contents import arrow
from tasks.datasets.errors import DataError
from tasks.datasets.gathering import Labels, by_series


def read(pipeline: Pipeline, logical_date: date) -> pd.DataFrame:
    """The source's rows up to the end of the logical date in one frame; raises as `frames`."""
    return pd.concat(frames(pipeline, logical_date), ignore_index=True)


def frames(pipeline: Pipeline, logical_date: date) -> Iterator[pd.DataFrame]:
    """The source's rows up to the end of the logical date, canonical.

    They come in the source's order, but for series of a row a step that are more than one part.
    Rows whose time is missing or unreadable stay.

    Raises:
        ConfigError: an unknown reader or option, or a required option that is not given.
        DataError: a source that cannot be read or does not hold what the pipeline names.
        StorageError: an object store that does not answer or refuses.
    """
    until = end_of(logical_date)
    before, channels = Before(), 0
    for table, labels in _examples(pipeline, until):
        frame = canonical(table, pipeline, labels, before=before)
        if "series" in frame:
            channels = _same_channels(frame["series"], channels)
        if "time" in frame:
            frame = frame[~(frame["time"] > until)].reset_index(drop=True)
        yield frame
    before.end()


def _examples(pipeline: Pipeline, until: datetime) -> Iterator[tuple[pa.Table, pa.Table | None]]:
    """Parts of whole examples, each with the part of the second table that is about them."""
    source, columns = pipeline.source, pipeline.columns
    found = tables(source.reader, until)
    if columns.step and columns.id:
        if source.reader.name == "sql":
            found = parts.cut(table_of(source.reader, until))
        found = by_series(found, columns.id)
    if source.labels is None or columns.id is None:  # labels without an id: `examples` refuses
        labels = table_of(source.labels, until) if source.labels else None
        yield from ((table, labels) for table in found)
        return
    known = Labels(table_of(source.labels, until), columns.id)
    table = pa.table({})
    for table in found:
        yield table, known.of(name_of(table, columns.id))
    strangers = known.rest()
    if strangers.num_rows:
        yield table.slice(0, 0), strangers


def tables(choice: Choice, until: datetime | None) -> Iterator[pa.Table]:
    """What one reader gives, in parts of one form; raises as `frames` does."""
    if choice.name not in STREAMS:
        yield from parts.cut(table_of(choice, until))
        return
    reader_of(choice)  # refuses what does not fit
    held: dict[str, pa.DataType] = {}
    for table in STREAMS[choice.name](until, rows=parts.ROWS_A_PART, **choice.options):
        _same_columns(table.schema, held, choice.name)
        yield table
    if not held:  # no rows: the reader says which columns there are
        yield table_of(choice, until)


def _same_columns(schema: pa.Schema, held: dict[str, pa.DataType], reader: str) -> None:
    """Each part has the columns of the first, and a type that reads the same."""
    if held and list(held) != schema.names:
        raise DataError(
            f"{reader}: the columns change from {list(held)} to {schema.names} on the way; read "
            "again, or see what changed the source meanwhile"
        )
    for field in schema:
        before = held.get(field.name, pa.null())
        if types.is_null(before):
            held[field.name] = field.type
        elif not (types.is_null(field.type) or _alike(before, field.type)):
            raise DataError(
                f"{reader}: column {field.name!r} mixes types ({before} and {field.type}); CAST it "
                "in the query"
            )


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    return bool(one.id == other.id or (_is_number(one) and _is_number(other)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _same_channels(series: pd.Series, channels: int) -> int:
    """How many channels steps have; 0: no step yet.

    Raises:
        DataError: other steps had another number.
    """
    widths = pc.unique(pc.list_value_length(pc.list_flatten(arrow(series)))).to_pylist()
    if not widths:
        return channels
    if channels and widths != [channels]:
        raise DataError(
            f"series: every step has the same number of channels; here are steps of {channels} "
            f"and {widths[0]}; mend the rows"
        )
    return int(widths[0])
