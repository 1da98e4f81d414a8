"""Rows as the source writes them, answered one by one: what MLflow serves to other people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from tasks.config import Columns
from tasks.datasets.examples import examples
from tasks.datasets.series import as_series
from tasks.inference.classifier import SequenceClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence


class RawClassifier:
    """A classifier behind the pipeline's own column names.

    Args:
        classifier: Answers canonical rows.
        columns: Which raw column plays which part; a series comes as lists, one row a series.
    """

    def __init__(self, classifier: SequenceClassifier, columns: Columns) -> None:
        self.classifier = classifier
        self.columns = columns.model_copy(update={"step": None, "wide": (), "id": None})

    @classmethod
    def load(cls, bundle: Path) -> RawClassifier:
        """From a bundle whose digests are right.

        Raises:
            BundleRefused: a rule of loading is broken.
        """
        classifier = SequenceClassifier.load(bundle)
        pipeline = json.loads((bundle / "pipeline.json").read_text("utf-8"))
        return cls(classifier, Columns.model_validate(pipeline["columns"]))

    def predict(self, raw: pd.DataFrame) -> pd.DataFrame:
        """The likeliest class and every class's probability, a row each.

        Args:
            raw: The pipeline's text column, or its list columns.

        Raises:
            ValueError: a column that is not there, or a row without input, named.
        """
        frame = canonical_inputs(raw, self.columns)
        column = "text" if self.columns.text else "series"
        missing = frame.index[frame[column].isna()].tolist()
        if missing:
            raise ValueError(
                f"row {missing[0]}: no {' or '.join(_names(self.columns))}; {len(missing)} of "
                f"{len(frame)} rows have no input, send only rows that have one"
            )
        return self.classifier.predict(frame)


def canonical_inputs(raw: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The input columns of raw rows as a canonical frame, by the code that reads sources.

    Args:
        raw: Rows with the source's own column names.
        columns: Which of them are the input.

    Raises:
        ValueError: a column that is not there or of the wrong type.
    """
    names = _names(columns)
    absent = [name for name in names if name not in raw]
    if absent:
        raise ValueError(
            f"column {absent[0]!r} is missing; rows need {', '.join(names)}, got "
            f"{', '.join(map(str, raw.columns)) or 'none'}"
        )
    table = pa.table({name: pa.array(raw[name], from_pandas=True) for name in names})
    rows = examples(table, columns, None, need_labels=False)
    if columns.text:
        return pd.DataFrame({"text": pd.Series(rows.inputs.to_pandas(), dtype="str")})
    return pd.DataFrame({"series": as_series(rows.inputs)})


def _names(columns: Columns) -> Sequence[str]:
    return [columns.text] if columns.text else columns.sequence
