"""How a CSV file is written, by looking at it: encoding, delimiter, whether it has a header."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.datasets.errors import DataError
from tasks.datasets.guessing import Guess

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
QUOTED = re.compile(r'"[^"]*"')
LEAST_NUMBERS = 3  # in a first line that is taken for a row
LOOKED_AT = 64 << 20  # most bytes of a file


def looked_at(path: Path, usual: str) -> tuple[dict[str, Any], list[Guess]]:
    """Options of the reader `csv` that differ from its defaults, and why they are set.

    Args:
        path: Of the file.
        usual: Delimiter that the file's ending stands for.

    Raises:
        DataError: a first line that is none of a CSV file.
    """
    options, guesses = {} if usual == "," else {"delimiter": usual}, []

    def guess(option: str, value: Any, shown: str, why: str) -> None:
        options[option] = value
        guesses.append(Guess(f"{option} of {path.name}", shown, why))

    with path.open("rb") as file:
        encoding, text = _decoded(b"".join(file.readlines(LOOKED_AT)))
    if encoding != "utf8":
        guess("encoding", encoding, encoding, "the file is not UTF-8")
    first = text.lstrip("\ufeff").partition("\n")[0].rstrip("\r")
    bare = QUOTED.sub("", first)
    delimiter = max((usual, *DELIMITERS), key=bare.count)
    if delimiter != usual:
        why = f"the first line holds more of it than of any other, {bare.count(delimiter)}"
        guess("delimiter", delimiter, DELIMITERS[delimiter], why)
    try:
        names = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"{path}: is no CSV file: {error}; name a file of rows of text") from None
    if _is_row(names):
        why = "the first line looks like a row; the columns are called f0, f1 and so on"
        guess("header", False, "none", why)  # noqa: FBT003
    return options, guesses


def _decoded(content: bytes) -> tuple[str, str]:
    """The encoding that the content looks like, and its text.

    A file in which most of what is no ASCII is UTF-8 is a UTF-8 file that is broken somewhere.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", content.decode("utf-16", "replace")
    with suppress(UnicodeDecodeError):
        return "utf8", content.decode("utf8")
    text = content.decode("utf8", "replace")
    broken = text.count("\ufffd")
    if 2 * broken <= sum(letter > "\x7f" for letter in text):
        return "utf8", text
    try:
        return "cp1252", content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1", content.decode("latin-1")


def _is_row(names: list[str]) -> bool:
    """Whether a first line is data: mostly numbers, in no order that names would have."""
    numbers = [number for name in names if (number := _number(name)) is not None]
    if len(numbers) < LEAST_NUMBERS or 2 * len(numbers) < len(names):
        return False
    steps = [second - first for first, second in itertools.pairwise(numbers)]
    return not (all(step > 0 for step in steps) or all(step < 0 for step in steps))


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
