"""Weaknesses that are let through for a time: who says so, why, and until when."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

KEYS = {"id": str, "package": str, "reason": str, "until": date}


class BadExceptions(ValueError):
    """The file is not what it should be; the message says where, and what to write."""


@dataclass(frozen=True)
class Letting:
    """One weakness that is let through.

    Attributes:
        id: Of the weakness, or an alias of it.
        package: In which.
        reason: Why it may stay for a time.
        until: The last day.
    """

    id: str
    package: str
    reason: str
    until: date


def read(file: Path) -> tuple[Letting, ...]:
    """The exceptions of a file.

    Raises:
        BadExceptions: it is no TOML, a key is missing, unknown or of the wrong kind.
    """
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadExceptions(f"{file.name}: {error}") from error
    entries = document.pop("exception", [])
    if document:
        raise BadExceptions(f"{file.name}: unknown {sorted(document)}; write [[exception]]")
    return tuple(_letting(f"{file.name}, exception {at}", entry)
                 for at, entry in enumerate(entries, 1))  # fmt: skip


def _letting(where: str, entry: dict[str, object]) -> Letting:
    if entry.keys() != KEYS.keys():
        raise BadExceptions(f"{where}: has {sorted(entry)}; it needs exactly {sorted(KEYS)}")
    for key, kind in KEYS.items():
        value = entry[key]
        if type(value) is not kind or not str(value).strip():
            wanted = "a day, as 2027-01-31" if kind is date else "some text"
            raise BadExceptions(f"{where}: {key} is {value!r}; write {wanted}")
    return Letting(**entry)  # type: ignore[arg-type]
