"""What a version answered to rows it had not seen: what live inputs are compared with.

A bounded sample of the night's test rows, as live scoring would have logged them, with their
labels: `references/PIPELINE/VERSION.parquet` in the store. Nothing that serves reads it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infra.storage import NotFound, Storage
from tasks import live_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

MOST_ROWS = 2_000
SEED = 11


class NoReference(LookupError):
    """A version has no reference rows; the message says how it gets some."""


def key(pipeline: str, version: str) -> str:
    """Where the rows of a version lie."""
    return f"references/{pipeline}/{version}.parquet"


def schema() -> pa.Schema:
    """The log's columns, then `row_id` and `truth`, the label that the row really has."""
    import pyarrow as pa

    return (
        live_inputs.schema()
        .append(pa.field("row_id", pa.string()))
        .append(pa.field("truth", pa.string()))
    )


def write(
    storage: Storage,
    pipeline: str,
    version: str,
    *,
    prepared: Path,
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
) -> str:
    """Keep at most `MOST_ROWS` of the night's test rows; returns the key.

    Args:
        storage: Of the pipeline.
        pipeline: Its name.
        version: That answered them.
        prepared: The night's rows: test/ and rows_test.parquet.
        probabilities: Its answers, `(test rows, classes)`.
        classes: In the order of the answers.
    """
    from pyarrow import parquet

    table = _logged(prepared, probabilities, classes, version)
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    storage.put(key(pipeline, version), file.getvalue())
    return key(pipeline, version)


def read(storage: Storage, pipeline: str, version: str) -> pa.Table:
    """The reference rows of a version.

    Raises:
        NoReference: it has none.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = storage.get(key(pipeline, version))
    except NotFound:
        raise NoReference(
            f"v{version} of {pipeline!r} has no reference rows in {storage.uri}: it was "
            "registered before they were kept; promote a version of a newer night"
        ) from None
    return parquet.read_table(pa.BufferReader(content))


def _logged(
    prepared: Path, probabilities: NDArray[np.float32], classes: Sequence[str], version: str
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    from tasks.ragged import Examples
    from tasks.sequences.tokens import unknown_tokens

    examples = Examples.load(prepared / "test")
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(examples))[:MOST_ROWS])
    inputs = examples.inputs.take(chosen)
    raw = parquet.read_table(prepared / "rows_test.parquet").take(pa.array(chosen))
    answers, names = probabilities[chosen], np.asarray(classes, object)
    given = {
        "version": [version] * len(chosen),
        "label": names[answers.argmax(axis=1)].tolist(),
        "probabilities": answers.tolist(),
        "length": inputs.lengths,
        "unknown": unknown_tokens(inputs),
        "row_id": examples.row_ids[chosen].tolist(),
        "truth": names[np.asarray(examples.labels)[chosen]].tolist(),
    }
    columns = {
        field.name: given[field.name]
        if field.name in given
        else raw.column(field.name).cast(field.type)
        if field.name in ("text", "series") and field.name in raw.column_names
        else pa.nulls(len(chosen), field.type)
        for field in schema()
    }
    return pa.table({name: _typed(column, name) for name, column in columns.items()})


def _typed(column: object, name: str) -> pa.Array:
    import pyarrow as pa

    kind = schema().field(name).type
    return column.cast(kind) if hasattr(column, "cast") else pa.array(column, kind)
