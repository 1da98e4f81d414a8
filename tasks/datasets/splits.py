"""Which rows train, which choose between candidates, which judge."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Split
from tasks.datasets.errors import DataError

logger = logging.getLogger(__name__)

TRAIN, VALIDATION, TEST = SIDES = ("train", "validation", "test")
Parts = Callable[[], Iterator[pd.DataFrame]]
Codes = NDArray[np.int8]
NEVER = np.iinfo(np.int64).max  # the time of rows without one


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
    return np.array(SIDES)[codes_of(lambda: iter([frame]), split)]


def codes_of(parts: Parts, split: Split) -> Codes:
    """As `assign`, for rows that come in parts, as indices into SIDES, `(rows,)`.

    Args:
        parts: The parts of a canonical frame, its input aside; asked several times. By `time`,
            16 bytes a row are held, 80 for a while, and names whose time is a boundary's.
        split: The pipeline's settings.
    """
    if split.by == "time":
        codes = _by_time(parts, split)
    elif split.by == "column":
        codes = _by_column(parts, split.validation)
    else:
        positions = (_positions(units_of(part)) for part in parts())
        codes = np.concatenate([_by_share(one, split.test, split.validation) for one in positions])
    _warn_of_gaps(classes_of(parts, codes))
    return codes


def classes_of(parts: Parts, codes: Codes) -> dict[str, dict[str, int]]:
    """Side to class to rows, the largest class first; rows of code -1 are on no side."""
    counts: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
    first = 0
    for part in parts():
        here = codes[first : first + len(part)]
        first += len(part)
        for code, side in enumerate(SIDES):
            counts[side].update(part["label"][here == code].dropna().tolist())
    return {side: dict(found.most_common()) for side, found in counts.items()}


def units_of(frame: pd.DataFrame) -> pd.Series:
    """What is kept together: the group, or the row where it has none."""
    if "group" not in frame:
        return frame["row_id"]
    return ("group:" + frame["group"]).fillna(frame["row_id"])


def _positions(units: pd.Series) -> NDArray[np.float64]:
    """A number in [0, 1) for each unit, the same on every machine and in every year."""
    return (_hashes(units) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _hashes(units: pd.Series) -> NDArray[np.uint64]:
    codes, names = pd.factorize(units)
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    numbers: NDArray[np.uint64] = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)[codes]
    return numbers


def _by_share(positions: NDArray[np.float64], test: float, validation: float) -> Codes:
    sides = np.select([positions < test, positions < test + validation], [2, 1], 0)
    return sides.astype(np.int8)


def _by_time(parts: Parts, split: Split) -> Codes:
    """By 64 bits of the units' names; the names themselves only where a boundary falls on a tie."""
    hashes = np.concatenate([_hashes(units_of(part)) for part in parts()])
    times = np.concatenate([_microseconds(part["time"]) for part in parts()])
    units, place = np.unique(hashes, return_inverse=True)
    del hashes
    sizes, oldest = np.bincount(place), np.full(len(units), NEVER)
    np.minimum.at(oldest, place, times)
    del times
    newest_first = np.where(oldest == NEVER, NEVER, -oldest)
    order = np.argsort(newest_first)
    shares = _newer(sizes[order])
    at = [int(np.searchsorted(shares, one)) for one in (split.test, split.test + split.validation)]
    del shares
    pairs = (newest_first[order[k - 1 : k + 1]].tolist() for k in at if 0 < k < len(order))
    tied = {one for one, other in pairs if one == other != NEVER}
    if tied:
        asked = np.isin(newest_first, list(tied))
        order = np.lexsort((_ranks(parts, place, asked), newest_first))
    position = np.ones(len(units))
    position[order] = _newer(sizes[order])
    position[oldest == NEVER] = 1.0
    return _by_share(position[place], split.test, split.validation)


def _newer(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of all rows that is in the units before each."""
    shares: NDArray[np.float64] = (np.cumsum(sizes) - sizes) / max(int(sizes.sum()), 1)
    return shares


def _ranks(parts: Parts, place: NDArray[np.int64], asked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The places of some units in the alphabet, `(units,)`; 0 of the others."""
    names: dict[int, str] = {}
    first = 0
    for part in parts():
        here = place[first : first + len(part)]
        first += len(part)
        wanted = asked[here]
        names.update(zip(here[wanted].tolist(), units_of(part)[wanted].tolist(), strict=True))
    ranks = np.zeros(len(asked), np.int64)
    for rank, unit in enumerate(sorted(names, key=names.__getitem__)):
        ranks[unit] = rank
    return ranks


def _microseconds(times: pd.Series) -> NDArray[np.int64]:
    """Since 1970; NEVER where a time is missing."""
    known, moments = times.notna().to_numpy(), pd.to_datetime(times, utc=True)
    numbers = moments.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.where(known, numbers, NEVER)


def _by_column(parts: Parts, validation: float) -> Codes:
    numbers = {side: code for code, side in enumerate(SIDES)}
    sides = np.concatenate([part["split"].map(numbers).to_numpy(np.int8) for part in parts()])
    counts = {side: int((sides == code).sum()) for side, code in numbers.items()}
    if not counts[TRAIN] or not counts[TEST]:
        raise DataError(
            f"split.by: column needs train and test rows; the column gives {counts}; use "
            "split.by: hash, or another column"
        )
    if not counts[VALIDATION]:
        carved = np.concatenate([_positions(units_of(part)) for part in parts()]) < validation
        sides[(sides == numbers[TRAIN]) & carved] = numbers[VALIDATION]
    return sides


def _warn_of_gaps(counts: Mapping[str, Mapping[str, int]]) -> None:
    for label in sorted(set().union(*counts.values())):
        found = {side: counts[side].get(label, 0) for side in SIDES}
        empty = [side for side, rows in found.items() if not rows]
        if empty:
            logger.warning(
                "class %r has %d rows and none of them in %s; its scores there are undefined",
                label,
                sum(found.values()),
                " or ".join(empty),
            )
