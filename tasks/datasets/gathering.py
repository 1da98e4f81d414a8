"""Parts of a source that hold whole examples: all steps of a series, and the labels of its own.

Steps are brought together by sorting them on disk, where they are more than one part; the second
table of labels is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.datasets import parts
from tasks.datasets.columns import name_of
from tasks.datasets.series import series_ids
from tasks.datasets.sorting import Sorter

KEY = "nocturne.series"  # of the column that steps are sorted by


def by_series(tables: Iterable[pa.Table], id_column: str) -> Iterator[pa.Table]:
    """Tables of one row a step, so that the steps of one series are never in two of them.

    One table stays as it is; the series of several come in the order of their ids.

    Raises:
        DataError: a step without id.
    """
    given = iter(tables)
    first, second = next(given, None), next(given, None)
    if first is None or second is None:
        yield from (one for one in (first, second) if one is not None)
        return
    with TemporaryDirectory(prefix="nocturne-series-") as folder:
        rows = Sorter(Path(folder), KEY)
        for table in chain([first, second], given):
            rows.add(table.append_column(KEY, series_ids(table, id_column)))
        for table in parts.gathered(rows.merged()):
            yield table.drop_columns([KEY])


class Labels:
    """The second table of a source: what is known of each id.

    Args:
        table: All of it.
        id_column: Joins it to the rows.
    """

    def __init__(self, table: pa.Table, id_column: str) -> None:
        self._table = table
        ids = pd.Series(name_of(table, id_column).to_pandas(), dtype="str")
        self._places = ids.groupby(ids, sort=False).indices
        self._asked = np.zeros(table.num_rows, bool)

    def of(self, ids: pa.Array) -> pa.Table:
        """The rows of these ids, in the table's order."""
        found = [self._places[one] for one in ids.unique().to_pylist() if one in self._places]
        at = np.sort(np.concatenate(found)) if found else np.array([], np.int64)
        self._asked[at] = True
        return self._table.take(pa.array(at))

    def rest(self) -> pa.Table:
        """The rows that nobody asked for."""
        return self._table.filter(pa.array(~self._asked))
