"""Rows to judge: one canonical frame, or one after the other where they are too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

Parts = Callable[[], Iterator[pd.DataFrame]]
Rows = pd.DataFrame | Parts


def parts_of(rows: Rows) -> Parts:
    """The parts, as often as they are asked for; a frame is its only one."""
    if isinstance(rows, pd.DataFrame):
        return lambda: iter([rows])
    return rows
