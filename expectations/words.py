"""Numbers and values as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

QUOTED = 40


def brief(values: Sequence[str], most: int = 8) -> str:
    """`[a, b, c]`, cut where there are many."""
    more = f", … {len(values) - most} more" if len(values) > most else ""
    return f"[{', '.join(values[:most])}{more}]"


def percent(share: float) -> str:
    """`25.8 %`, with three digits."""
    return f"{100 * share:.3g} %"


def counted(rows: int) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def short(value: Any) -> str:
    """A value cut to what fits in a sentence."""
    if isinstance(value, str):
        return value if len(value) <= QUOTED else f"{value[: QUOTED - 1]}…"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def quoted(value: Any) -> str:
    """As `short`, text in quotes."""
    return repr(short(value)) if isinstance(value, str) else short(value)
