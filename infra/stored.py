"""What a store tells about an object without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Stored:
    """One object as a listing shows it.

    Attributes:
        key: Its name in the store.
        size: Bytes.
        written: When it was last written, by the store's clock, with its time zone.
    """

    key: str
    size: int
    written: datetime
