"""How much of a table is in memory at once: parts of bounded rows and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_PART = 65_536
BYTES_A_PART = 64 << 20


def rows_a_part(rows: int, size: int) -> int:
    """Rows of a part of a table, fewer where they are long.

    Args:
        rows: Of the table, or of some of it.
        size: Bytes of the same.
    """
    each = max(1, size // max(rows, 1))
    return max(1, min(ROWS_A_PART, BYTES_A_PART // each))


def cut(table: pa.Table) -> Iterator[pa.Table]:
    """A table in parts, without a copy; one part of no rows where it has none."""
    rows = rows_a_part(table.num_rows, table.nbytes)
    for first in range(0, max(table.num_rows, 1), rows):
        yield table.slice(first, rows)


def gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Small tables put together to parts; one of no rows where all have none."""
    import pyarrow as pa

    held: list[pa.Table] = []
    anything = False
    for table in tables:
        held.append(table)
        rows, size = sum(one.num_rows for one in held), sum(one.nbytes for one in held)
        if rows >= ROWS_A_PART or size >= BYTES_A_PART:
            yield pa.concat_tables(held)
            held, anything = [], True
    if held and (not anything or any(one.num_rows for one in held)):
        yield pa.concat_tables(held)
