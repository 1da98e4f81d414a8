"""Reader of JSON Lines files: one object a line, a key a column."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.datasets.errors import DataError
from tasks.datasets.files import BLOCK_BYTES, explained, refuse_empty
from tasks.datasets.places import at_hand

if TYPE_CHECKING:
    import pyarrow as pa


def read_jsonl(until: datetime | None, *, path: str, sha256: str | None = None) -> pa.Table:
    """Rows of a JSON Lines file; types are guessed from the whole file.

    Args:
        until: Ignored.
        path: Local path, `s3://bucket/key` or `https://...`.
        sha256: Digest of the file, checked where given; required for https.

    Raises:
        DataError: no such file, an empty one, a line that is no object, or a key whose values
            differ in type.
    """
    import pyarrow as pa

    return pa.concat_tables(stream_jsonl(until, rows=0, path=path, sha256=sha256))


def stream_jsonl(
    until: datetime | None,  # noqa: ARG001
    *,
    rows: int,  # noqa: ARG001 - a file is cut where its blocks end
    path: str,
    sha256: str | None = None,
) -> Iterator[pa.Table]:
    """As `read_jsonl`, a block of the file at a time; raises as it does.

    A file of more than one block is read twice: what type a key has, its last line may say.
    """
    with at_hand(path, sha256) as file, explained(path):
        refuse_empty(file, path)
        with file.open("rb") as lines:
            if lines.read(64).lstrip().startswith(b"["):
                raise DataError(f"{path}: is one JSON array; write one object a line, without it")
        schema = None if file.stat().st_size <= BLOCK_BYTES else _guessed(file, path)
        nothing = True
        for table in _tables(file, schema):
            nothing = False
            yield table
        if nothing:
            raise DataError(f"{path}: has empty lines only; see whether its export failed")


def _guessed(file: Path, path: str) -> pa.Schema:
    """The keys in the order in which they appear, each of a type that fits all of its values."""
    import pyarrow as pa

    held: dict[str, pa.DataType] = {}
    for table in _tables(file, None):
        for field in table.schema:
            before = held.get(field.name, field.type)
            try:
                held[field.name] = _either(before, field.type)
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                raise DataError(
                    f"{path}: cannot be read: column {field.name!r} changed from {before} to "
                    f"{field.type} on the way; write all its values alike"
                ) from None
    return pa.schema(held.items())


def _either(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type for the values of both; texts some of which look like times are texts."""
    import pyarrow as pa

    kinds = sorted([one, other], key=str)
    if pa.types.is_string(kinds[0]) and pa.types.is_timestamp(kinds[1]):
        return kinds[0]
    schemas = [pa.schema({"": kind}) for kind in (one, other)]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _tables(file: Path, schema: pa.Schema | None) -> Iterator[pa.Table]:
    import pyarrow as pa
    from pyarrow import json

    parse = json.ParseOptions(newlines_in_values=False, explicit_schema=schema)
    before = 0
    for block in _blocks(file):
        options = json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        try:
            table = json.read_json(io.BytesIO(block), options, parse)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(_in_the_file(str(error), before)) from None
        before += len(table)
        yield table


def _blocks(file: Path) -> Iterator[bytes]:
    """Whole lines of about `BLOCK_BYTES`."""
    with file.open("rb") as lines:
        while block := lines.read(BLOCK_BYTES):
            block += lines.readline()
            if block.strip():
                yield block


def _in_the_file(said: str, before: int) -> str:
    """Arrow counts the rows of a block; people count those of a file."""

    def moved(found: re.Match[str]) -> str:
        return f"row {int(found[1]) + before}"

    return re.sub(r"row (\d+)", moved, said)
