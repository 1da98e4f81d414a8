"""A batch as a job in a place: parts that appear whole, and a mark when all are there.

    part-00000.parquet ...     answers
    _rejects/part-00000.csv    rows without answer, each with its reason; only where there are any
    _parts/00000.json          what a part holds and where the next begins; written after it
    _parts/00000.parquet       a sample of its rows, for monitoring
    _job.json                  what is scored, with which version: pinned before the first part
    _SUCCESS or _REFUSED       last: the manifest

Names with an underscore are none of a reader's business, as in Spark. Nothing in the place
tells times, so a job that was killed and run again leaves the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from infra.failpoints import failpoint
from infra.storage import NotFound, Storage
from tasks.references import Reference
from tasks.scoring.ahead import in_order
from tasks.scoring.answering import Answered, sampled
from tasks.scoring.grouping import grouped, new
from tasks.scoring.sources import Chunk, Cursor
from tasks.scoring.writers import writing

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Reference)

RECORD, DONE, REFUSED = "_job.json", "_SUCCESS", "_REFUSED"
OURS = ("part-", "_rejects/part-", "_parts/")


class Record(Reference):
    """What a job scores, and with what; pinned before its first part."""

    model: str
    version: str
    digest: str
    source: dict[str, Any]
    format: str
    part_rows: int
    chunk_rows: int
    sample: int


class Part(Reference):
    """One finished part."""

    number: int
    rows: int
    scored: int
    rejected: int
    sha256: str
    rejects_sha256: str | None
    after: tuple[int, int]
    marks: tuple[str, ...] = ()


class Manifest(Reference):
    """The whole job, told by its last mark."""

    model: str
    version: str
    digest: str
    rows: int
    scored: int
    rejected: int
    parts: dict[str, str]
    rejects: dict[str, str]


@dataclass(frozen=True)
class Job:
    """A job in its place.

    Attributes:
        place: Where everything is written.
        record: What is scored, with what.
    """

    place: Storage
    record: Record

    def part_name(self, number: int) -> str:
        """Key of a part."""
        return f"part-{number:05d}.{self.record.format}"

    @property
    def finished(self) -> bool:
        """Whether its last mark is there, so that nothing is left to score."""
        return self.place.exists(DONE) or self.place.exists(REFUSED)

    def parts(self) -> list[Part]:
        """The finished parts from the first on, as far as their files are what they were."""
        found: list[Part] = []
        while (part := read(self.place, _note(len(found)), Part)) is not None:
            if not self._holds(part):
                logger.warning("part %d is not what was written; from there anew", part.number)
                break
            found.append(part)
        return found

    def _holds(self, part: Part) -> bool:
        keys = {self.part_name(part.number): part.sha256}
        if part.rejects_sha256 is not None:
            keys[rejects_name(part.number)] = part.rejects_sha256
        return all(_digest_under(self.place, key) == digest for key, digest in keys.items())

    def run(
        self,
        chunks: Iterator[Chunk],
        done: Sequence[Part],
        answered: Callable[[Chunk], Answered],
        told: Callable[[int], None],
        nothing: Chunk,
        workers: int = 1,
    ) -> list[Part]:
        """Write the parts that are missing.

        Args:
            chunks: The source from `done`'s last cursor on; a query repeats what lies before.
            done: Finished parts.
            answered: What comes of a chunk.
            told: Hears how many rows are done.
            nothing: Stands for a source without rows, so that there is a file with its columns.
            workers: Chunks that are answered at once.

        Raises:
            SourceChanged: rows that were scored before are not what they were.
        """
        parts = list(done)
        ends = Cursor(*done[-1].after) if done else Cursor()
        marks = [mark for part in done for mark in part.marks]
        answers = in_order(answered, new(chunks, ends, marks), workers)
        for group in grouped(answers, self.record.part_rows):
            parts.append(self._write(len(parts), group, told))
            failpoint(f"after_part_{len(parts)}")
        return parts or [self._write(0, [(nothing, answered(nothing))], told)]

    def _write(
        self,
        number: int,
        group: Iterable[tuple[Chunk, Answered]],
        told: Callable[[int], None],
    ) -> Part:
        with tempfile.TemporaryDirectory(prefix="nocturne-part-") as scratch:
            file = Path(scratch) / self.part_name(number)
            rejects = Path(scratch) / "rejects.csv"
            counts = {"rows": 0, "scored": 0}
            marks: list[str] = []
            seen: list[pa.Table] = []
            after = Cursor()
            with writing(file) as write, writing(rejects) as reject:
                for chunk, found in group:
                    write(found.scored)
                    reject(found.rejects)
                    counts["rows"] += len(chunk)
                    counts["scored"] += len(found.scored)
                    marks += [chunk.mark] if chunk.mark else []
                    seen = [sampled([*seen, found.seen], self.record.sample)]
                    after = chunk.after
                    told(len(chunk))
            counts["rejected"] = counts["rows"] - counts["scored"]
            if counts["rejected"]:
                self.place.upload(rejects_name(number), rejects)
            self.place.upload(self.part_name(number), file)
            self._keep_sample(number, seen)
            part = Part(
                number=number,
                **counts,
                sha256=_digest_of(file),
                rejects_sha256=_digest_of(rejects) if counts["rejected"] else None,
                after=(after.file, after.row),
                marks=tuple(marks),
            )
        self.place.put(_note(number), part.model_dump_json().encode())
        return part

    def _keep_sample(self, number: int, seen: Sequence[pa.Table]) -> None:
        if self.record.sample and seen:
            self.place.put(_sample(number), _parquet(seen[0]))

    def sample(self, parts: Sequence[Part]) -> pa.Table | None:
        """A sample of all rows that were answered; None where none is kept."""
        import pyarrow as pa
        from pyarrow import parquet

        if not self.record.sample:
            return None
        tables: list[pa.Table] = []
        for part in parts:
            content = pa.BufferReader(self.place.get(_sample(part.number)))
            tables = [sampled([*tables, parquet.read_table(content)], self.record.sample)]
        return tables[0]

    def told(self) -> Manifest:
        """What the last mark says.

        Raises:
            NotFound: there is none.
        """
        name = DONE if self.place.exists(DONE) else REFUSED
        return Manifest.model_validate_json(self.place.get(name))

    def manifest(self, parts: Sequence[Part]) -> Manifest:
        """What all parts hold."""
        refused = {
            rejects_name(part.number): part.rejects_sha256
            for part in parts
            if part.rejects_sha256 is not None
        }
        return Manifest(
            model=self.record.model,
            version=self.record.version,
            digest=self.record.digest,
            rows=sum(part.rows for part in parts),
            scored=sum(part.scored for part in parts),
            rejected=sum(part.rejected for part in parts),
            parts={self.part_name(part.number): part.sha256 for part in parts},
            rejects=refused,
        )

    def close(self, manifest: Manifest, *, accepted: bool) -> None:
        """Leave the last mark: `_SUCCESS`, or `_REFUSED` where too many rows had no answer."""
        for name in (DONE, REFUSED):
            self.place.delete(name)
        text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
        self.place.put(DONE if accepted else REFUSED, text.encode())


def begun(place: Storage, asked: Record, *, fresh: bool = False) -> Job:
    """The job that stands in a place where it is the one asked for, with its pinned version.

    Anything else that an earlier job left there is removed, and the reason logged.

    Args:
        place: Where the job lies, or will lie.
        asked: What is wanted now, with the present champion.
        fresh: Keep nothing: a person asked for everything anew.
    """
    kept = read(place, RECORD, Record)
    why = _why_anew(place, kept, asked, fresh=fresh)
    if kept is not None and why is None:
        if kept.digest != asked.digest:
            logger.warning(
                "going on with v%s, which the job began with; v%s is in Production now",
                kept.version,
                asked.version,
            )
        return Job(place, kept)
    if kept is not None:
        logger.warning("%s: scored anew, %s", place.uri, why)
    clear(place)
    place.put(RECORD, asked.model_dump_json().encode())
    return Job(place, asked)


def _why_anew(place: Storage, kept: Record | None, asked: Record, *, fresh: bool) -> str | None:
    if kept is None:
        return None
    if fresh:
        return "as was asked for"
    given = kept.model_dump(exclude={"version", "digest"})
    for name, value in asked.model_dump(exclude={"version", "digest"}).items():
        if given[name] != value:
            return f"because the {name.replace('_', ' ')} is another one than before"
    if Job(place, kept).finished and kept.digest != asked.digest:
        return f"because it was finished with v{kept.version}, and v{asked.version} serves now"
    return None


def clear(place: Storage) -> None:
    """Remove what jobs wrote, marks first; files of others stay."""
    for name in (DONE, REFUSED):
        place.delete(name)
    keys = sorted(place.keys(), reverse=True)  # `_parts/` before `part-`: notes before parts
    for key in (*(k for k in keys if k.startswith("_")), *(k for k in keys if k[0] != "_")):
        if key.startswith(OURS):
            place.delete(key)
    place.delete(RECORD)


def read(place: Storage, key: str, kind: type[Kind]) -> Kind | None:
    """What was kept under a key; None where nothing is, or nothing that can be read."""
    try:
        return kind.model_validate_json(place.get(key))
    except NotFound:
        return None
    except ValidationError:
        logger.warning("%s in %s cannot be read; computed anew", key, place.uri)
        return None


def rejects_name(number: int) -> str:
    """Key of a part's rejects."""
    return f"_rejects/part-{number:05d}.csv"


def _note(number: int) -> str:
    return f"_parts/{number:05d}.json"


def _sample(number: int) -> str:
    return f"_parts/{number:05d}.parquet"


def _parquet(table: pa.Table) -> bytes:
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def _digest_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _digest_under(place: Storage, key: str) -> str | None:
    with tempfile.TemporaryDirectory(prefix="nocturne-part-") as scratch:
        try:
            place.download(key, Path(scratch) / "content")
        except NotFound:
            return None
        return _digest_of(Path(scratch) / "content")
