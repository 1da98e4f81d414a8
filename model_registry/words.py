"""Words that sentences with numbers share."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`; the plural takes an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
