"""Chunks of a source by part: what is new, and where a part ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from tasks.scoring.sources import Chunk, Cursor

Answer = TypeVar("Answer")


class SourceChanged(RuntimeError):
    """The source gives other rows than when the job began; the message says where."""


def new(chunks: Iterator[Chunk], done: Cursor, marks: Sequence[str]) -> Iterator[Chunk]:
    """What is not done; of what a query repeats, only that it is the same.

    Args:
        chunks: Of the source; a query begins again from its first row.
        done: Where the finished parts end.
        marks: Of their chunks, where they have any.

    Raises:
        SourceChanged: rows that were scored before are not what they were.
    """
    repeated = []
    for chunk in chunks:
        if (chunk.after.file, chunk.after.row) <= (done.file, done.row):
            repeated.append(chunk.mark)
            continue
        if repeated != list(marks):
            raise SourceChanged("the query gives other rows than before, or in another order")
        yield chunk
    if repeated != list(marks):
        raise SourceChanged("the query gives fewer rows than before")


def grouped(
    answers: Iterator[tuple[Chunk, Answer]], rows: int
) -> Iterator[Iterator[tuple[Chunk, Answer]]]:
    """Chunks and what came of them by part: a part ends with the chunk that fills it."""
    for first in answers:
        yield _until(first, answers, rows)


def _until(
    first: tuple[Chunk, Answer], rest: Iterator[tuple[Chunk, Answer]], rows: int
) -> Iterator[tuple[Chunk, Answer]]:
    yield first
    count = len(first[0])
    while count < rows:
        found = next(rest, None)
        if found is None:
            return
        yield found
        count += len(found[0])
