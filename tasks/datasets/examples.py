"""One entry an example: the steps of a series brought together, a second table joined by id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc

from tasks.config import Columns
from tasks.datasets.columns import ids_in, label_of, name_of, text_of
from tasks.datasets.errors import DataError
from tasks.datasets.series import Long, from_lists, from_long, from_wide


@dataclass(frozen=True)
class Examples:
    """Examples in the source's order.

    Attributes:
        ids: `(rows,)` text; None where the pipeline or the rows have no id column.
        inputs: `(rows,)` text or series.
        facts: Table of `rows` rows with every other column.
    """

    ids: pa.Array | None
    inputs: pa.Array
    facts: pa.Table


def examples(
    table: pa.Table, columns: Columns, labels: pa.Table | None, *, need_labels: bool
) -> Examples:
    """The examples of a source.

    Args:
        table: The source's rows: one an example, or one a step.
        columns: Which column plays which part.
        labels: Second table with an id and facts of each; its columns come first. Labels
            without an input stay, and so do inputs without a label.
        need_labels: False where ids may be absent.

    Raises:
        DataError: a missing column, series that do not fit together, contradicting labels.
    """
    rows = _rows(table, columns, labels, need_labels=need_labels)
    if labels is None:
        return rows
    if rows.ids is None:
        raise DataError("source.labels needs columns.id, which joins it to the rows; name it")
    return _joined(rows.ids, rows, *_once(labels, columns))


def _rows(
    table: pa.Table, columns: Columns, labels: pa.Table | None, *, need_labels: bool
) -> Examples:
    if columns.step and columns.id:
        long = from_long(table, columns.id, columns.step, columns.sequence)
        if labels is None and columns.label in table.column_names:
            _refuse_changing_labels(table, columns.label, long)
        aside = {columns.step, *columns.sequence}
        facts = table.select([name for name in table.column_names if name not in aside])
        return Examples(long.ids, long.series, facts.take(pa.array(long.first)))
    has_ids = columns.id and (need_labels or columns.id in table.column_names)
    ids = name_of(table, str(columns.id)) if has_ids else None
    if columns.text:
        return Examples(ids, text_of(table, columns.text), table)
    if columns.wide:
        return Examples(ids, from_wide(table, columns.wide), table)
    return Examples(ids, from_lists(table, columns.sequence), table)


def _refuse_changing_labels(table: pa.Table, name: str, long: Long) -> None:
    given = label_of(table, name).fill_null("")
    first = given.take(pa.array(long.first[long.codes]))
    differ = np.flatnonzero(pc.not_equal(given, first).to_numpy(zero_copy_only=False))
    if len(differ):
        ids = long.ids.take(pa.array(np.unique(long.codes[differ])))
        raise DataError(
            f"label column {name!r} changes within series {ids_in(ids)}; one label a series"
        )


def _joined(ids: pa.Array, rows: Examples, labels: pa.Table, known: pa.Array) -> Examples:
    strangers = known.filter(pc.invert(pc.is_in(known, ids)))
    everyone = pa.concat_arrays([ids, strangers])
    at = pa.concat_arrays([pa.array(np.arange(len(ids))), pa.nulls(len(strangers), pa.int64())])
    facts = labels.take(pc.index_in(everyone, known))
    for name in rows.facts.column_names:
        if name not in facts.column_names:
            facts = facts.append_column(name, rows.facts.column(name).take(at))
    return Examples(everyone, rows.inputs.take(at), facts)


def _once(labels: pa.Table, columns: Columns) -> tuple[pa.Table, pa.Array]:
    """The label table with one row an id, and its ids.

    Raises:
        DataError: an id with two different labels.
    """
    known = name_of(labels, str(columns.id))
    label = label_of(labels, columns.label)
    pairs = pd.DataFrame({"id": known.to_pandas(), "label": label.to_pandas()})
    distinct = pairs.drop_duplicates()
    twice = distinct[distinct["id"].duplicated()]["id"]
    if len(twice):
        raise DataError(f"source.labels: ids with different labels: {ids_in(twice.tolist())}")
    at = pa.array(distinct.index.to_numpy())
    return labels.take(at), known.take(at)
