"""Raw rows of a piece as canonical rows to score; a row that cannot be one is a bad row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.config import Pipeline
from tasks.datasets.errors import DataError
from tasks.scoring.formats import Bad, Piece

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_BAD = 1_000


def answerable(
    piece: Piece, pipeline: Pipeline, before: int, name: str = ""
) -> tuple[pd.DataFrame, tuple[Bad, ...]]:
    """The canonical rows of a piece, and what cannot be one.

    A row without an id is called by its number in the input, counted from 1.

    Args:
        piece: Raw rows.
        pipeline: Which column plays which part.
        before: Rows of the same file before this piece.
        name: Of the file, before each number.

    Raises:
        DataError: a column that is not there or of the wrong type, or over `MOST_BAD` bad rows.
    """
    from tasks.datasets.canonical import canonical

    canonical(piece.table.slice(0, 0), pipeline, need_labels=False)  # what holds for all rows
    table = _with_ids(piece.table, pipeline, before, name)
    frames, bad = [], list(piece.bad)
    pending = [table]
    while pending:
        some = pending.pop()
        try:
            frames.append(canonical(some, _own(pipeline), need_labels=False))
        except DataError as error:
            if some.num_rows == 1:
                bad.append((str(some.column("row_id")[0]), str(error)))
            else:
                half = some.num_rows // 2
                pending += [some.slice(half), some.slice(0, half)]
            if len(bad) > MOST_BAD:
                raise
    return _joined(frames, piece, pipeline), tuple(bad)


def _joined(frames: Sequence[pd.DataFrame], piece: Piece, pipeline: Pipeline) -> pd.DataFrame:
    import pandas as pd

    from tasks.datasets.canonical import canonical

    if len(frames) == 1:
        return frames[0]
    empty = canonical(piece.table.slice(0, 0), pipeline, need_labels=False)
    return pd.concat([*frames], ignore_index=True) if frames else empty


def _own(pipeline: Pipeline) -> Pipeline:
    """The same columns, the id under the name it has been given."""
    columns = pipeline.columns.model_copy(update={"id": "row_id"})
    evaluation = pipeline.evaluation.model_copy(update={"slices": ()})
    return pipeline.model_copy(update={"columns": columns, "evaluation": evaluation})


def _with_ids(table: pa.Table, pipeline: Pipeline, before: int, name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    from tasks.datasets.columns import name_of

    numbers = pa.array(
        [f"{name}{number}" for number in range(before + 1, before + table.num_rows + 1)],
        pa.large_string(),
    )
    given = pipeline.columns.id
    kept = table.select([*dict.fromkeys(pipeline.columns.inputs)])
    if given in table.column_names:
        ids = name_of(table, str(given))
        numbers = pc.if_else(
            pc.fill_null(pc.not_equal(ids, ""), pa.scalar(value=False)), ids, numbers
        )
    if "row_id" in kept.column_names:
        return kept
    return kept.append_column("row_id", numbers)
