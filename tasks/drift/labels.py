"""True accuracy, once labels have come: logged rows found again among newer labelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def true_accuracy(logged: pa.Table, labelled: pd.DataFrame) -> tuple[float, int]:
    """Share of right answers among the rows whose input is labelled now, and how many those are.

    Rows are known by their content, since the log holds no ids. An input with two different
    labels counts as having none. NaN where no row is found.

    Args:
        logged: Rows of the log, with text or series.
        labelled: Canonical rows with labels.
    """
    from tasks.datasets.contents import fingerprints, input_name

    known = labelled[labelled["label"].notna()]
    prints = fingerprints(known[input_name(known)])
    truths: dict[str, str | None] = {}
    for content, label in zip(prints, known["label"].tolist(), strict=True):
        truths[content] = label if truths.get(content, label) == label else None
    answers = logged.column("label").to_pylist()
    seen = fingerprints(_inputs(logged, input_name(known)))
    right = [
        answer == truths[content]
        for answer, content in zip(answers, seen, strict=True)
        if truths.get(content) is not None
    ]
    return (float(np.mean(right)) if right else float("nan")), len(right)


def _inputs(logged: pa.Table, name: str) -> pd.Series:
    import pandas as pd

    from tasks.datasets.series import as_series

    column = logged.column(name)
    if name == "series":
        return as_series(column.combine_chunks())
    return pd.Series(column.to_pandas(), dtype="str")
