"""Canonical frames that keep a contract, for tests to break."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.terms import Terms

CLASSES = ("billing", "delivery", "login")
AS_OF = datetime(2026, 3, 20, 23, 59, 59, 999999, UTC)
SERIES = pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))
WORDS = ("invoice", "parcel", "password", "late", "wrong", "charge", "reset", "box", "reply", "van")


def tickets(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Text rows over 20 days that end with the logical date, 3 even classes, no duplicates."""
    rng = np.random.default_rng(seed)
    texts = [
        f"{' '.join(rng.choice(WORDS, rng.integers(4, 12)))} ticket number {seed}-{row}"
        for row in range(rows)
    ]
    times = pd.date_range(end="2026-03-20 23:00", periods=rows, freq=f"{20 * 86_400 // rows}s")
    return pd.DataFrame(
        {
            "row_id": [f"t{seed}-{row}" for row in range(rows)],
            "label": np.resize(CLASSES, rows),
            "text": pd.Series(texts, dtype="str"),
            "time": times.tz_localize(UTC).astype("datetime64[us, UTC]"),
            "channel": np.resize(["mail", "web"], rows),
        }
    )


def waves(rows: int = 120, channels: int = 2, seed: int = 0) -> pd.DataFrame:
    """Series of 5 to 20 steps, 3 even classes."""
    rng = np.random.default_rng(seed)
    series = [rng.normal(size=(rng.integers(5, 20), channels)).tolist() for _ in range(rows)]
    return pd.DataFrame(
        {
            "row_id": [f"s{row}" for row in range(rows)],
            "label": np.resize(CLASSES, rows),
            "series": pd.Series(series, dtype=SERIES),
        }
    )


def text_terms(**changes) -> Terms:
    """The contract that `tickets` keeps."""
    given = {
        "kind": "text",
        "as_of": AS_OF,
        "labels": CLASSES,
        "required": ("time", "channel"),
        "sources": {"label": "topic", "text": "body", "time": "created_at"},
        "max_length": 40,
    }
    return Terms(**{**given, **changes})


def series_terms(**changes) -> Terms:
    """The contract that `waves` keeps."""
    given = {"kind": "numeric", "as_of": AS_OF, "labels": CLASSES, "max_length": 40}
    return Terms(**{**given, **changes})
