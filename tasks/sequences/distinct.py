"""A column of text as its distinct words and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ROWS_A_BLOCK = 65_536


@dataclass(frozen=True)
class Words:
    """Rows of text as words, or words as tokens.

    Attributes:
        distinct: Every word once.
        codes: `(words,)` int64, indices into `distinct`; the words of all rows in order.
        offsets: `(rows + 1,)` int64; row `i` is `codes[offsets[i]:offsets[i + 1]]`.
    """

    distinct: list[str]
    codes: NDArray[np.int64]
    offsets: NDArray[np.int64]


def blocks(frame: pd.DataFrame) -> Iterator[Words]:
    """The words of the column `text`, a bounded number of rows at a time.

    Missing text has no words.

    Raises:
        ValueError: a value that is no text, naming its row.
    """
    if "text" not in frame:
        raise ValueError(f"rows: need the column 'text', got {list(frame)}")
    texts = _texts(frame)
    for first in range(0, len(texts), ROWS_A_BLOCK):
        yield _split(texts.slice(first, ROWS_A_BLOCK))


def _split(texts: Any) -> Words:
    rows = pc.ascii_split_whitespace(texts.fill_null(""))  # tokens end at other spaces anyway
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(rows).to_numpy())])
    words = rows.flatten().dictionary_encode()
    codes = words.indices.to_numpy().astype(np.int64)
    return Words(words.dictionary.to_pylist(), codes, offsets.astype(np.int64))


def _texts(frame: pd.DataFrame) -> Any:
    """The column as one large_string array, without a copy where it already is one."""
    try:
        texts = pa.array(frame["text"], pa.large_string(), from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError):
        raise ValueError(_not_text(frame)) from None
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def _not_text(frame: pd.DataFrame) -> str:
    """Names the first row whose text is no text."""
    names = frame.get("row_id", frame.index)
    for name, value in zip(names, frame["text"], strict=True):
        try:
            pa.array([value], pa.large_string(), from_pandas=True)
        except (pa.ArrowException, UnicodeEncodeError):
            shown = ascii(value)[:60]
            return f"row {name!r}: text must be a string of valid Unicode, got {shown}"
    return "column 'text': must hold strings"
