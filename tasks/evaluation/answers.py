"""What the models answered on the validation and test rows, read from where they left it.

Errors:
    MetricError: prepared rows that do not agree with each other, or answers that cannot be
        measured. Of one candidate it only leaves that candidate out, with the reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.inputs import (
    Labels,
    MetricError,
    Probabilities,
    checked,
    without_missing_classes,
)
from tasks.ragged import Examples
from tasks.references import Prepared, Trained


@dataclass(frozen=True)
class Answers:
    """All models on the same rows.

    Attributes:
        rows: The canonical frame of the test rows.
        labels: Split ("train", "validation", "test") to `(rows,)` class indices.
        validation: Candidate to `(rows, classes)` probabilities.
        test: Candidate to `(rows, classes)` probabilities, in the order of `rows`.
        champion: The champion's on the test rows, or None.
        excluded: Candidate to why it has no answers.
        histories: Candidate to its epochs.
    """

    rows: pd.DataFrame
    labels: Mapping[str, Labels]
    validation: Mapping[str, Probabilities]
    test: Mapping[str, Probabilities]
    champion: Probabilities | None
    excluded: Mapping[str, str]
    histories: Mapping[str, list[dict[str, float]]]


def read(
    prepared: Prepared, trained: Sequence[Trained], champion: str | None, metric: str
) -> Answers:
    """Everything the evaluation needs, checked.

    Args:
        prepared: Where the rows and labels lie.
        trained: The night's candidates.
        champion: Path of the champion's test probabilities; a column of nothing but NaN is a
            class it does not know.
        metric: The pipeline's; a candidate without a finite value for it is left out.

    Raises:
        MetricError: rows that do not agree with the labels, a champion's answers that cannot
            be measured, or no candidate left.
    """
    directory, classes = Path(prepared.directory), len(prepared.classes)
    examples = {
        split: Examples.load(directory / split) for split in ("train", "validation", "test")
    }
    labels = {split: each.labels.astype(np.int64) for split, each in examples.items()}
    validation, test, excluded, histories = {}, {}, {}, {}
    for each in trained:
        try:
            _refuse_broken(each, metric)
            home = Path(each.directory)
            pair = [
                _probabilities(home / f"{split}_probabilities.npy", labels[split], classes)
                for split in ("validation", "test")
            ]
        except MetricError as error:
            excluded[each.name] = str(error)
            continue
        validation[each.name], test[each.name] = pair
        histories[each.name] = _history(home / "history.json")
    if not test:
        why = "; ".join(f"{name}: {reason}" for name, reason in excluded.items()) or "none trained"
        raise MetricError(f"candidates: need at least one with usable answers, got 0 ({why})")
    return Answers(
        rows=_rows(directory / "rows_test.parquet", examples["test"].row_ids),
        labels=labels,
        validation=validation,
        test=test,
        champion=_probabilities(Path(champion), labels["test"], classes) if champion else None,
        excluded=excluded,
        histories=histories,
    )


def _refuse_broken(candidate: Trained, metric: str) -> None:
    if candidate.failed:
        raise MetricError(candidate.failed)
    for number, fold in enumerate(candidate.folds, start=1):
        if not math.isfinite(fold.get(metric, math.nan)):
            raise MetricError(
                f"fold {number}: {metric} must be a finite number, got {fold.get(metric)}; "
                "see the candidate's history"
            )


def _probabilities(path: Path, labels: Labels, classes: int) -> Probabilities:
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MetricError(f"{path.name}: cannot be read: {error}; train it again") from None
    expected = (len(labels), classes)
    if stored.shape != expected:
        raise MetricError(
            f"{path.name}: expected {expected} probabilities, got {stored.shape}; "
            "score the rows of tonight with tonight's classes"
        )
    try:
        return checked(labels, without_missing_classes(stored))[1]
    except MetricError as error:
        raise MetricError(f"{path.name}: {error}") from None


def _rows(path: Path, row_ids: NDArray[np.str_]) -> pd.DataFrame:
    rows = frame_of(path)
    if rows["row_id"].astype(str).tolist() != row_ids.tolist():
        raise MetricError(
            f"{path.name}: must hold the rows of test/ in the same order, got other row_ids; "
            "prepare the night again"
        )
    return rows


def frame_of(path: Path) -> pd.DataFrame:
    """A canonical frame; pandas cannot parse its own name of the type of nested lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path).replace_schema_metadata(None)
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None
    )
    return frame


def _history(path: Path) -> list[dict[str, Any]]:
    """The epochs a candidate recorded; a missing file costs a curve, never the evaluation."""
    try:
        epochs = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return epochs if isinstance(epochs, list) else []
