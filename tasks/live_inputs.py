"""What live scoring saw: a sampled, bounded log of answered rows in the store.

The server writes it, monitoring reads it. One Parquet object a flush, under
`requests/PIPELINE/DATE/`, so that a day is one prefix and writers never share an object.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from infra.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> pa.Schema:
    """Columns of the log; `text` or `series` is null where the other is the input, or redacted."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("time", pa.timestamp("us", tz="UTC")),
            pa.field("version", pa.string()),
            pa.field("label", pa.string()),
            pa.field("probabilities", pa.list_(pa.float32())),
            pa.field("length", pa.int32()),
            pa.field("unknown", pa.int32()),
            pa.field("text", pa.string()),
            pa.field("series", pa.list_(pa.list_(pa.float32()))),
        ]
    )


def prefix(pipeline: str, day: date) -> str:
    """Where the rows of a day lie."""
    return f"requests/{pipeline}/{day.isoformat()}/"


def append(storage: Storage, pipeline: str, day: date, rows: pa.Table) -> str:
    """Write rows of a day as one object; returns its key."""
    import pyarrow as pa
    from pyarrow import parquet

    file = pa.BufferOutputStream()
    parquet.write_table(rows.cast(schema()), file, compression="zstd")
    key = f"{prefix(pipeline, day)}{uuid.uuid4().hex}.parquet"
    storage.put(key, file.getvalue().to_pybytes(), if_absent=True)
    return key


def replace(storage: Storage, pipeline: str, day: date, name: str, rows: pa.Table) -> str:
    """Write rows of a batch as the object of its own name, in place of an earlier run's.

    Args:
        storage: Where the log is.
        pipeline: Its name.
        day: The batch's logical date, which is also the time of its rows.
        name: Of the batch.
        rows: Columns of `schema`, as far as there are any; others are left out.

    Returns:
        Its key.
    """
    import pyarrow as pa
    from pyarrow import parquet

    instant = datetime.combine(day, datetime.min.time(), UTC)
    given = {column: rows.column(column) for column in rows.column_names}
    given["time"] = pa.array([instant] * rows.num_rows, pa.timestamp("us", tz="UTC"))
    nothing = pa.nulls(rows.num_rows)
    whole = pa.table({field.name: given.get(field.name, nothing) for field in schema()})
    file = pa.BufferOutputStream()
    parquet.write_table(whole.cast(schema()), file, compression="zstd")
    key = f"{prefix(pipeline, day)}{name}.parquet"
    storage.put(key, file.getvalue().to_pybytes())
    return key


def read(storage: Storage, pipeline: str, day: date) -> pa.Table:
    """All rows of a day, in the order of their time; empty where there are none."""
    import pyarrow as pa
    from pyarrow import parquet

    keys = storage.keys(prefix(pipeline, day))
    tables = [parquet.read_table(pa.BufferReader(storage.get(key))) for key in keys]
    return pa.concat_tables([schema().empty_table(), *tables]).sort_by("time")
