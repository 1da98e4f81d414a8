"""Which rows train, which choose between candidates, which judge."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Split
from tasks.datasets.errors import DataError

logger = logging.getLogger(__name__)

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def assign(frame: pd.DataFrame, split: Split) -> NDArray[np.str_]:
    """The side of each row: "train", "validation" or "test", `(rows,)`.

    - `hash`: by a stable hash of the row's group, or of its id where it has none. It knows
      neither the pipeline nor the other rows, so no row ever changes sides. Shares hold on
      average: a class of a few rows may miss a side, which is logged.
    - `time`: the oldest rows train and the newest test. Groups stay whole, where their oldest
      row stands; rows without a time train. The boundaries move as new rows arrive, so a row
      may move from test to train on a later night, and never the other way.
    - `column`: as the split column says; validation is carved out of train by hash where the
      column has none.

    Args:
        frame: A canonical frame.
        split: The pipeline's settings.

    Raises:
        DataError: a split column without train or without test rows.
    """
    units = units_of(frame)
    if split.by == "column":
        sides = _by_column(frame, units, split.validation)
    elif split.by == "time":
        sides = _by_time(frame, units, split)
    else:
        sides = _by_share(_positions(units), split.test, split.validation)
    _warn_of_gaps(frame, sides)
    return sides


def units_of(frame: pd.DataFrame) -> pd.Series:
    """What is kept together: the group, or the row where it has none."""
    if "group" not in frame:
        return frame["row_id"]
    return ("group:" + frame["group"]).fillna(frame["row_id"])


def _positions(units: pd.Series) -> NDArray[np.float64]:
    """A number in [0, 1) for each unit, the same on every machine and in every year."""
    codes, names = pd.factorize(units)
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    numbers = np.frombuffer(b"".join(digests), ">u8")
    return (numbers >> np.uint64(11)).astype(np.float64)[codes] / 2.0**53


def _by_share(positions: NDArray[np.float64], test: float, validation: float) -> NDArray[np.str_]:
    return np.select(
        [positions < test, positions < test + validation], [TEST, VALIDATION], TRAIN
    ).astype(np.str_)


def _by_time(frame: pd.DataFrame, units: pd.Series, split: Split) -> NDArray[np.str_]:
    rows = pd.DataFrame({"unit": units, "time": frame["time"]})
    sizes = rows.groupby("unit").agg(oldest=("time", "min"), rows=("unit", "size")).reset_index()
    ordered = sizes.sort_values(["oldest", "unit"], ascending=[False, True], na_position="last")
    newer = (ordered["rows"].cumsum() - ordered["rows"]) / max(len(frame), 1)
    newer = newer.mask(ordered["oldest"].isna(), 1.0)
    position = pd.Series(newer.to_numpy(), ordered["unit"].to_numpy())
    return _by_share(units.map(position).to_numpy(np.float64), split.test, split.validation)


def _by_column(frame: pd.DataFrame, units: pd.Series, validation: float) -> NDArray[np.str_]:
    sides = frame["split"].to_numpy().astype(np.str_)
    counts = {side: int((sides == side).sum()) for side in (TRAIN, VALIDATION, TEST)}
    if not counts[TRAIN] or not counts[TEST]:
        raise DataError(
            f"split.by: column needs train and test rows; the column gives {counts}; use "
            "split.by: hash, or another column"
        )
    if counts[VALIDATION]:
        return sides
    carved = (sides == TRAIN) & (_positions(units) < validation)
    return np.where(carved, VALIDATION, sides).astype(np.str_)


def _warn_of_gaps(frame: pd.DataFrame, sides: NDArray[np.str_]) -> None:
    counts = pd.crosstab(frame["label"], sides).reindex(columns=[TRAIN, VALIDATION, TEST])
    for label, row in counts.fillna(0).iterrows():
        empty = [side for side, count in row.items() if not count]
        if empty:
            logger.warning(
                "class %r has %d rows and none of them in %s; its scores there are undefined",
                label,
                int(row.sum()),
                " or ".join(str(side) for side in empty),
            )
