"""Canonical rows to answers: which rows can be answered, and what the model says of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.sequences.tokens import unknown_tokens

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tasks.inference.classifier import SequenceClassifier
    from tasks.ragged import Ragged


@dataclass(frozen=True)
class Answered:
    """What came of some rows.

    Attributes:
        scored: Id, `label`, `probability_CLASS`..., `version`, `digest`.
        rejects: Id and `reason`.
        seen: The answered rows as monitoring reads them, with `row_id`.
    """

    scored: pd.DataFrame
    rejects: pd.DataFrame
    seen: pa.Table


def answer(
    classifier: SequenceClassifier,
    rows: pd.DataFrame,
    bad: Sequence[tuple[str, str]],
    *,
    id_name: str,
    version: str,
    digest: str,
) -> Answered:
    """Let the model answer what can be answered.

    Args:
        classifier: Answers canonical rows.
        rows: Canonical.
        bad: What was no row, and why.
        id_name: What the id is called in the output.
        version: Of the model; stands beside each answer.
        digest: Of its bundle; likewise.
    """
    import pandas as pd

    from tasks.inference.classifier import answers_frame

    reasons = reasons_against(rows)
    good = rows[reasons.isna()]
    inputs = classifier.preprocessor.encode(good)
    probabilities = classifier.answer(inputs)
    found = answers_frame(probabilities, classifier.classes, good.index)
    found = found.assign(version=version, digest=digest)
    found.insert(0, id_name, good["row_id"])
    wrong = rows.loc[reasons.notna(), "row_id"].tolist()
    ids = [*wrong, *(where for where, _ in bad)]
    said = [*reasons[reasons.notna()].tolist(), *(why for _, why in bad)]
    rejects = pd.DataFrame({id_name: pd.Series(ids, dtype="str"), "reason": said}, dtype="str")
    return Answered(found, rejects, _seen(good, inputs, probabilities, found["label"], version))


def _seen(
    rows: pd.DataFrame,
    inputs: Ragged,
    probabilities: NDArray[np.float32],
    labels: pd.Series,
    version: str,
) -> pa.Table:
    import pyarrow as pa

    count = len(rows)
    columns = {
        "row_id": pa.array(rows["row_id"], pa.large_string(), from_pandas=True),
        "version": pa.array([version] * count, pa.string()),
        "label": pa.array(labels, pa.string(), from_pandas=True),
        "probabilities": _lists(probabilities),
        "length": pa.array(inputs.lengths, pa.int32()),
        "unknown": pa.array(unknown_tokens(inputs), pa.int32()),
    }
    name = "text" if "text" in rows else "series"
    kind = pa.string() if name == "text" else pa.list_(pa.list_(pa.float32()))
    return pa.table({**columns, name: pa.array(rows[name], kind, from_pandas=True)})


def _lists(values: NDArray[np.float32]) -> pa.Array:
    import pyarrow as pa

    rows, width = values.shape
    offsets = pa.array(np.arange(rows + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))


def reasons_against(rows: pd.DataFrame) -> pd.Series:
    """Why a row cannot be answered, `(rows,)` of str; missing where it can."""
    import pandas as pd

    against = _against_text if "text" in rows else _against_series
    inputs = rows["text" if "text" in rows else "series"].tolist()
    return pd.Series([against(value) for value in inputs], rows.index, dtype="str")


def _against_text(text: Any) -> str | None:
    if not isinstance(text, str):
        return "text is missing"
    return None if text.strip() else "text is empty"


def _against_series(series: Any) -> str | None:
    if not hasattr(series, "__len__"):
        return "series is missing"
    if not len(series):
        return "series has no steps"
    if any(value is not None and math.isfinite(value) for step in series for value in step):
        return None
    return "series has no value, only missing ones"


def sampled(tables: Sequence[pa.Table], most: int) -> pa.Table:
    """At most so many rows, those whose ids have the smallest hashes: the same in any order.

    A bottom-k sketch: the sample of the whole is the sample of the samples of its parts (Cohen
    and Kaplan, Summarizing data using bottom-k sketches, PODC 2007).

    Args:
        tables: With a column `row_id`; at least one.
        most: Rows to keep.
    """
    import pyarrow as pa

    whole = pa.concat_tables(tables)
    ids = whole.column("row_id").to_pylist()
    hashes = [hashlib.blake2b(str(one).encode(), digest_size=8).digest() for one in ids]
    order = sorted(range(len(ids)), key=lambda at: (hashes[at], at))[:most]
    return whole.take(pa.array(order, pa.int64()))
