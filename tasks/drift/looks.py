"""From logged rows to the features that are compared."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.config import Choice
from tasks.drift.features import Counts, Feature, Means, Ordered, Presence, fourier, one_hot
from tasks.ragged import Ragged
from tasks.sequences.characters import LINK, NUMBER, USER

if TYPE_CHECKING:
    import pyarrow as pa

BUCKETS = 1_024
DIMENSIONS = 64
FOURIER = 256
SEED = 7
CLEANING = ("lowercase", "links", "user_names")
# as in a log without identifiers, so that both sides are cleaned alike
LINKS = re.compile(r"(?i:https?://|www\.)\S+")
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
DIGITS = re.compile(r"\d[\d.,:/ -]*\d|\d")


def features(day: pa.Table, reference: pa.Table, channels: Sequence[str] = ()) -> list[Feature]:
    """What can be compared of two tables, both with the columns of `live_inputs.schema`.

    A feature that one side lacks (text that was redacted), or that has one value only, is left
    out.

    Args:
        day: Logged rows; at least one.
        reference: Reference rows; at least one.
        channels: Names of a series' channels.

    Returns:
        Over the pooled rows, the day's first.
    """
    pooled = {
        name: _pooled(day, reference, name)
        for name in ("label", "probabilities", "length", "unknown", "text", "series")
    }
    found = [_label_mix(pooled), *_numbers(pooled)]
    found += _of_text(pooled["text"]) if pooled["text"] is not None else []
    found += _of_series(pooled["series"], channels) if pooled["series"] is not None else []
    return [feature for feature in found if feature is not None]


def confidence(table: pa.Table) -> NDArray[np.float64]:
    """The largest probability of each row, `(rows,)`."""
    return np.array([max(row) for row in table.column("probabilities").to_pylist()], np.float64)


def _pooled(day: pa.Table, reference: pa.Table, name: str) -> pa.Array | None:
    """One column of both; None where a side has nothing in it."""
    import pyarrow as pa

    columns = [table.column(name).combine_chunks() for table in (day, reference)]
    if any(column.null_count == len(column) for column in columns):
        return None
    return pa.concat_arrays([_flat(column) for column in columns])


def _flat(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _label_mix(pooled: Mapping[str, Any]) -> Feature | None:
    labels = [str(label) for label in pooled["label"].to_pylist()]
    classes = sorted(set(labels))
    if len(classes) < 2:
        return None
    return Counts("label mix", one_hot(labels, classes), tuple(classes))


def _numbers(pooled: Mapping[str, Any]) -> list[Feature | None]:
    sure = np.array([max(row) for row in pooled["probabilities"].to_pylist()], np.float64)
    lengths = _floats(pooled["length"])
    found = [_ordered("confidence", sure), _ordered("length", lengths)]
    if pooled["unknown"] is not None:
        share = _floats(pooled["unknown"]) / np.maximum(lengths, 1)
        found.append(_ordered("unknown words", share))
    return found


def _floats(column: pa.Array) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _ordered(name: str, values: NDArray[np.float64]) -> Feature | None:
    known = np.where(np.isnan(values), -np.inf, values)
    return Ordered(name, values) if len(np.unique(known)) > 1 else None


def _of_text(texts: pa.Array) -> list[Feature | None]:
    tokens = hashed(texts)
    lengths = tokens.lengths
    rows = np.repeat(np.arange(len(tokens)), lengths)
    present = np.zeros((len(tokens), BUCKETS), np.float32)
    present[rows, tokens.values] = 1
    if len(np.unique(tokens.values)) < 2:
        return []
    vectors = np.random.default_rng(SEED).normal(size=(BUCKETS, DIMENSIONS)).astype(np.float32)
    sums = np.zeros((len(tokens), DIMENSIONS), np.float32)
    np.add.at(sums, rows, vectors[tokens.values])
    scale = np.sqrt(np.maximum(lengths, 1)).astype(np.float32)
    pooled: NDArray[np.float32] = sums / scale[:, None]
    return [Presence("words", present), Means("embedding", fourier(pooled, FOURIER, SEED))]


def not_compared(day: pa.Table) -> list[str]:
    """What the log of a day does not hold, so that nothing can be said of it."""
    empty = {name for name in ("text", "series") if _empty(day, name)}
    return ["words and embedding: the log holds no text"] if len(empty) == 2 else []


def _empty(table: pa.Table, name: str) -> bool:
    column = table.column(name)
    return bool(column.null_count == len(column))


def hashed(texts: pa.Array) -> Ragged:
    """Each text's words as hashes below `BUCKETS`, the same in every process."""
    import pandas as pd

    from tasks.sequences.text import Cleaner, TextPreprocessor

    cleaner = Cleaner([Choice(name=name) for name in CLEANING])
    alike = [_without_identifiers(text) for text in texts.to_pylist()]
    frame = pd.DataFrame({"text": pd.Series(alike, dtype="str")})
    return TextPreprocessor(cleaner, "hashed", _Hashing(), 1_000).encode(frame)


def _without_identifiers(text: str | None) -> str | None:
    return text and DIGITS.sub(NUMBER, LINKS.sub(LINK, ADDRESS.sub(USER, text)))


class _Hashing:
    """A tokenizer without a vocabulary: a word's id is its hash."""

    size = BUCKETS
    width = 1

    def fit(self, counts: Mapping[str, int]) -> _Hashing:
        """Nothing is learnt."""
        del counts
        return self

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> _Hashing:
        """There is no state."""
        del state
        return cls()

    def to_json(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def encode(self, words: Sequence[str]) -> Ragged:
        """One id a word."""
        ids = np.array([zlib.crc32(word.encode()) % BUCKETS for word in words], np.int32)
        return Ragged(ids, np.arange(len(words) + 1, dtype=np.int64))


def _of_series(series: pa.Array, channels: Sequence[str]) -> list[Feature | None]:
    """Level, range and missing share of each channel, a number a row."""
    from tasks.datasets.series import flat

    values, offsets = flat(series)
    wide = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    names = list(channels) if len(channels) == wide.shape[1] else _numbered(wide.shape[1])
    found: list[Feature | None] = []
    for at, name in enumerate(names):
        level, spread, missing = _summaries(wide[:, at], offsets)
        found += [_ordered(f"{name}: level", level), _ordered(f"{name}: range", spread)]
        found.append(_ordered(f"{name}: missing", missing))
    return found


def _numbered(channels: int) -> list[str]:
    return [f"channel {number}" for number in range(1, channels + 1)]


def _summaries(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Mean, range and missing share of each row's steps; NaN where no step has a value."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    known = ~np.isnan(values)
    count = len(offsets) - 1
    seen = np.bincount(rows[known], minlength=count)
    total = np.bincount(rows[known], values[known], minlength=count)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, rows[known], values[known])
    np.maximum.at(high, rows[known], values[known])
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(seen > 0, total / seen, np.nan)
        missing = 1 - seen / np.maximum(np.diff(offsets), 1)
    return level, np.where(seen > 0, high - low, np.nan), missing
