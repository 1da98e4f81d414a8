"""Where a model is weak: the same metrics on parts of the test rows.

Rows are cut by length, by time and by every column the pipeline names. Each slice has the
classes it happens to have, so macro averages compare the two models on one slice better than
one model across slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.inputs import Labels, MetricError
from tasks.evaluation.intervals import differences, intervals
from tasks.references import SliceScores

TOP_VALUES = 10
MIN_ROWS = 50
MAX_PERIODS = 8
PERIODS = ("D", "W", "M", "Q", "Y")
OTHERS, MISSING = "(others)", "(missing)"
Mask = NDArray[np.bool_]


def slices(
    rows: pd.DataFrame,
    labels: Labels,
    challenger: NDArray[Any],
    champion: NDArray[Any] | None = None,
    *,
    columns: Sequence[str] = (),
    metrics: Iterable[str] = ("accuracy", "macro_f1"),
    samples: int = 1_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[SliceScores, ...]:
    """Both models on every slice of the rows.

    Args:
        rows: The canonical frame, in the order of the labels.
        labels: `(rows,)` class indices.
        challenger: `(rows, classes)` probabilities.
        champion: The same of the champion, or None.
        columns: Slice columns of the frame.
        metrics: Any of `CONFUSION_METRICS`.
        samples: Resamples behind each interval.
        confidence: Level of the intervals.
        seed: Of the resampling.

    Raises:
        MetricError: a slice column the frame does not have, or another number of rows.
    """
    if len(rows) != len(labels):
        raise MetricError(f"slices: {len(rows):,} rows for {len(labels):,} labels; pass the same")

    how: dict[str, Any] = {"samples": samples, "confidence": confidence, "seed": seed}
    how["metrics"] = tuple(metrics)
    found = []
    for by, value, mask in members(rows, columns):
        true, ours = labels[mask], challenger[mask]
        pair = {}
        if champion is not None:
            pair["champion"] = intervals(true, champion[mask], **how)
            pair["difference"] = differences(true, ours, champion[mask], **how)
        own = intervals(true, ours, **how)
        size = int(mask.sum())
        found.append(
            SliceScores(
                by=by, value=value, rows=size, reliable=size >= MIN_ROWS, challenger=own, **pair
            )
        )
    return tuple(found)


def members(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str, Mask]]:
    """What is sliced by, the slice's name and which rows it has; a cut into one is left out.

    Raises:
        MetricError: a slice column the frame does not have.
    """
    cuts = {"length": _by_length(rows)}
    if "time" in rows:
        cuts["time"] = _by_time(rows["time"])
    for column in columns:
        if column not in rows:
            raise MetricError(
                f"slices: the rows have no column {column!r}; name one of the source in "
                "evaluation.slices"
            )
        cuts[column] = _by_value(rows[column])
    for by, parts in cuts.items():
        if len(parts) > 1:
            yield from ((by, value, mask) for value, mask in parts.items())


def _by_length(rows: pd.DataFrame) -> dict[str, Mask]:
    """Quartiles; fewer where many rows share a length."""
    words = "text" in rows
    lengths = _words(rows["text"]) if words else _steps(rows["series"])
    inner = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75], method="inverted_cdf"))
    place = np.searchsorted(inner, lengths)
    parts = {}
    for quarter in np.unique(place):
        mask = place == quarter
        low, high = lengths[mask].min(), lengths[mask].max()
        span = f"{low}" if low == high else f"{low} to {high}"
        parts[f"{span} {'words' if words else 'steps'}"] = mask
    return parts


def _words(texts: pd.Series[Any]) -> NDArray[np.int64]:
    return texts.str.count(r"\S+").fillna(0).to_numpy().astype(np.int64)


def _steps(series: pd.Series[Any]) -> NDArray[np.int64]:
    return np.asarray(series.list.len().fillna(0).to_numpy(), np.int64)


def _by_time(times: pd.Series[Any]) -> dict[str, Mask]:
    """The finest calendar period that cuts the rows into at most `MAX_PERIODS`."""
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None)
    for unit in PERIODS:
        periods = naive.dt.to_period(unit)
        if periods.nunique() <= MAX_PERIODS:
            break
    known = sorted(periods.dropna().unique())
    parts = {_period(period, unit): (periods == period).to_numpy(bool) for period in known}
    missing = times.isna().to_numpy(bool)
    return {**parts, **({MISSING: missing} if missing.any() else {})}


def _period(period: Any, unit: str) -> str:
    return f"week of {period.start_time:%Y-%m-%d}" if unit == "W" else str(period)


def _by_value(values: pd.Series[Any]) -> dict[str, Mask]:
    """The commonest values, then all others together, then the missing ones."""
    counts = values.value_counts()
    top = sorted(counts.index, key=lambda value: (-counts[value], str(value)))[:TOP_VALUES]
    parts = {str(value): (values == value).fillna(value=False).to_numpy(bool) for value in top}
    missing = values.isna().to_numpy(bool)
    others = ~missing & ~values.isin(top).to_numpy(bool)
    rest = {OTHERS: others, MISSING: missing}
    return {**parts, **{name: mask for name, mask in rest.items() if mask.any()}}
