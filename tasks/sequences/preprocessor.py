"""One path from raw rows to model input, fitted in training and saved in the bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pandas as pd

from tasks.config import ConfigError, Kind, Preprocessing
from tasks.misfits import unknown
from tasks.ragged import InputSpec, Ragged
from tasks.sequences.numeric import NumericPreprocessor
from tasks.sequences.text import TextPreprocessor

Frames = pd.DataFrame | Iterable[pd.DataFrame]


class Preprocessor(Protocol):
    """Raw rows in, model input out; the same in training, batch scoring and serving."""

    spec: InputSpec

    def encode(self, frame: pd.DataFrame) -> Ragged:
        """The model input of each row of a canonical frame, in order."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Everything needed to encode the same way again; `preprocessor_from_json` reads it."""
        ...


_KINDS: dict[str, type[TextPreprocessor] | type[NumericPreprocessor]] = {
    "text": TextPreprocessor,
    "numeric": NumericPreprocessor,
}


def fit_preprocessor(
    kind: Kind,
    preprocessing: Preprocessing,
    train: Frames,
    unlabelled: Frames | None = None,
) -> Preprocessor:
    """Learn vocabulary or scaling from train rows, and words from texts without labels.

    Args:
        kind: The pipeline's kind, `text` or `numeric`.
        preprocessing: What the pipeline asks for.
        train: Canonical rows, whole or in parts.
        unlabelled: Texts without labels, of text pipelines that have some.

    Raises:
        ConfigError: an unknown step, tokenizer, scaler or option.
        ValueError: rows that cannot be encoded, the first one named.
    """
    if unlabelled is not None and kind == "text":
        return TextPreprocessor.fit(preprocessing, _parts(train), _parts(unlabelled))
    return _KINDS[kind].fit(preprocessing, _parts(train))


def _parts(rows: Frames) -> Iterable[pd.DataFrame]:
    return [rows] if isinstance(rows, pd.DataFrame) else rows


def preprocessor_from_json(state: Mapping[str, Any]) -> Preprocessor:
    """The preprocessor whose `to_json` gave this.

    Raises:
        ConfigError: a kind that this version does not know.
    """
    kind = state.get("kind", "")
    if kind not in _KINDS:
        raise ConfigError(unknown("kind of preprocessor", str(kind), _KINDS))
    return _KINDS[kind].from_json(state)
