"""Golden rows: raw rows in the bundle with the answers that training gave to them.

Whoever loads the bundle, anywhere and later, answers them again; a difference beyond
`TOLERANCE` means that the preprocessing or the model is not the one that was trained.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from tasks.inference.classifier import SequenceClassifier

TOLERANCE = 1e-5
MOST_ROWS = 32


def choose(labels: NDArray[np.int32], lengths: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Rows of every class, and of every length within it.

    Args:
        labels: `(rows,)` class indices.
        lengths: `(rows,)` steps of each row.
        most: How many rows to choose at most.

    Returns:
        Row indices in ascending order.
    """
    classes = np.unique(labels)
    share = max(1, most // max(len(classes), 1))
    chosen: list[int] = []
    for label in classes[:most]:
        rows = np.flatnonzero(labels == label)
        by_length = rows[np.argsort(lengths[rows], kind="stable")]
        spread = np.linspace(0, len(rows) - 1, min(share, len(rows))).round().astype(int)
        chosen += by_length[spread].tolist()
    return np.array(sorted(chosen), np.int64)


def to_json(frame: pd.DataFrame, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Inputs and answers as plain values; a number that is none becomes null."""
    column = "text" if "text" in frame else "series"
    rows = frame[column].tolist()
    inputs = [None if _missing(row) else _plain(row) for row in rows]
    return {"column": column, "inputs": inputs, "probabilities": probabilities.tolist()}


def from_json(state: dict[str, Any]) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """The inverse of `to_json`."""
    import pandas as pd
    import pyarrow as pa

    column, inputs = state["column"], state["inputs"]
    kind = "str" if column == "text" else pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))
    frame = pd.DataFrame({column: pd.Series(inputs, dtype=kind)})
    return frame, np.asarray(state["probabilities"], np.float32)


def difference(classifier: SequenceClassifier, bundle: Path) -> float:
    """The largest difference between today's answers and training's; 0 without golden rows."""
    frame, expected = from_json(json.loads((bundle / "golden.json").read_text("utf-8")))
    if not len(frame):
        return 0.0
    return float(np.abs(classifier.predict_proba(frame) - expected).max())


def _missing(row: Any) -> bool:
    """None, NaN and pandas' NA alike: neither text nor steps."""
    return not hasattr(row, "__len__")


def _plain(row: Any) -> Any:
    if isinstance(row, str):
        return row
    return [[_number(value) for value in step] for step in row]


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
