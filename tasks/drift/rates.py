"""From the false alarms a person can bear to the level of one night, and from nights to alarms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MONTH_NIGHTS = 30
MONTHS = 4_000
SEED = 20_261_101


def alarms(conspicuous: Sequence[bool], k: int, of: int) -> list[bool]:
    """Which nights raise an alarm: conspicuous, and the k-th of the last `of` since the last one.

    An alarm uses its nights up: it is raised again only for as many new ones.

    Args:
        conspicuous: Night after night.
        k: So many.
        of: Of so many nights, that night among them.
    """
    used = np.asarray(conspicuous, bool).reshape(1, -1).copy()
    return [bool(one) for one in _alarms(used, k, of)[0]]


def _alarms(conspicuous: NDArray[np.bool_], k: int, of: int) -> NDArray[np.bool_]:
    """The same for many months at once, `(months, nights)`."""
    raised = np.zeros_like(conspicuous)
    since = np.zeros(len(conspicuous), np.int64)  # first night that still counts
    nights = conspicuous.shape[1]
    for night in range(nights):
        window = np.arange(max(0, night - of + 1), night + 1)
        counted = conspicuous[:, window] & (window >= since[:, None])
        raised[:, night] = conspicuous[:, night] & (counted.sum(axis=1) >= k)
        since = np.where(raised[:, night], night + 1, since)
    return raised


@lru_cache(maxsize=256)
def nightly_level(a_month: float, k: int, of: int, shared: float) -> float:
    """The level of one night at which 30 quiet nights raise so many alarms, on average.

    Nights are compared with the same reference, so they are conspicuous together: a reference
    that happens to be unusual makes every night look so. Two nights' differences to it have the
    correlation `shared`; their probabilities are joined by a Gaussian copula with it, which is
    on the careful side for statistics that sum squares. Whatever the dependence, an alarm needs
    a conspicuous night, so a level of `a_month` / 30 never alarms more often.

    Args:
        a_month: Alarms asked for in 30 nights.
        k: Conspicuous nights before an alarm ...
        of: ... of so many.
        shared: Rows of a day / (rows of a day + rows of the reference).

    Returns:
        Between `a_month` / 30 and one half, to about 2 % of itself.
    """
    rng = np.random.default_rng(SEED)
    own = rng.normal(size=(MONTHS, MONTH_NIGHTS))
    common = rng.normal(size=(MONTHS, 1))
    scores = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    low, high = a_month / MONTH_NIGHTS, 0.5
    while high / low > 1.02:
        level = float(np.sqrt(low * high))
        raised = _alarms(scores > _quantile(level), k, of).sum() / MONTHS
        low, high = (level, high) if raised <= a_month else (low, level)
    return low


def _quantile(level: float) -> float:
    from scipy.stats import norm

    return float(norm.isf(level))
