"""Many log files as one stream of lines, and none of them without end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

LARGEST_BYTES = 20_000_000
_AT_ONCE = 1 << 18
# the supervisor's own questions, every few seconds
_OF_HEALTH = re.compile(rb'"GET (?:/api|/v2)?/health(?:/live)? HTTP/1\.1" 200')


class Followed:
    """New lines of every `NAME.log` of a folder, from the moment of its making.

    A file that has grown too large is copied to `NAME.log.1` and emptied; its writers append,
    so that they go on at its beginning.

    Args:
        folder: Holds the files; more may come.
        largest_bytes: Of one file.
    """

    def __init__(self, folder: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
        self._folder = folder
        self._largest = largest_bytes
        self._at = {path: path.stat().st_size for path in folder.glob("*.log")}
        self._begun: dict[Path, bytes] = {}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Name and line of what was written since the last call."""
        for path in sorted(self._folder.glob("*.log")):
            text = self._begun.pop(path, b"") + self._new(path)
            *whole, begun = text.split(b"\n")
            if begun:
                self._begun[path] = begun
            for line in whole:
                if _OF_HEALTH.search(line):
                    continue
                yield path.stem, printable(line.decode("utf-8", "replace"))

    def _new(self, path: Path) -> bytes:
        at, size = self._at.get(path, 0), path.stat().st_size
        if size < at:
            at = 0
        with path.open("rb") as file:
            file.seek(at)
            found = file.read(_AT_ONCE)
        self._at[path] = at + len(found)
        if self._at[path] == size > self._largest:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            with path.open("r+b") as file:
                file.truncate()
            self._at[path] = 0
        return found


def printable(line: str) -> str:
    """A line without what would move a terminal's cursor, recolour it or ring its bell."""
    kept, escape = [], False
    for sign in line.rstrip():
        if escape:
            escape = not sign.isalpha()
        elif sign == "\x1b":
            escape = True
        elif sign == "\t" or sign.isprintable():
            kept.append(sign)
    return "".join(kept)
