"""Snapshots: what a night read, as immutable Parquet under the digest of its content.

`snapshots/PIPELINE/DIGEST.parquet` holds rows; `snapshots/PIPELINE/nights/DATE.json` says which
snapshot a night took and counts it, so that later nights know what is usual.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc

from infra.storage import AlreadyExists, Storage
from model_registry.words import counted
from tasks.datasets import rows_file
from tasks.datasets.errors import DataError
from tasks.datasets.rows_file import RowsFile
from tasks.references import Snapshot


@dataclass(frozen=True)
class NightRows:
    """What a night took in; the history that the contract compares with.

    Attributes:
        date: Logical date, ISO 8601.
        digest: Of its snapshot.
        rows: In the snapshot.
        new_rows: That the night before did not have.
        class_counts: Rows of each class.
        newest: Time of the newest row, ISO 8601; None without a time column.
    """

    date: str
    digest: str
    rows: int
    new_rows: int
    class_counts: dict[str, int] = field(default_factory=dict)
    newest: str | None = None


def key_of(pipeline_name: str, digest: str) -> str:
    """Where a snapshot stands in the store."""
    return f"snapshots/{pipeline_name}/{digest}.parquet"


def digest_of(frame: pd.DataFrame) -> str:
    """sha256 over the content of a canonical frame, whatever the order of rows and columns.

    Raises:
        DataError: two rows with one id, so that their order is not settled.
    """
    return rows_file.digest_of(_sorted(frame))


def write(frame: pd.DataFrame, pipeline_name: str, storage: Storage) -> tuple[str, str]:
    """Store a canonical frame under the digest of its content; there already is as good.

    Returns:
        The digest and the key.

    Raises:
        DataError: two rows with one id.
        StorageError: the store refuses or does not answer.
    """
    with scratch() as folder:
        rows = RowsFile.written(folder / "rows.parquet", [_sorted(frame)])
        return keep(rows, pipeline_name, storage)


def keep(rows: RowsFile, pipeline_name: str, storage: Storage) -> tuple[str, str]:
    """As `write`, rows that are sorted by id in a file already, each id once."""
    digest = rows.digest()
    key = key_of(pipeline_name, digest)
    if not storage.exists(key):
        with contextlib.suppress(AlreadyExists):  # another night wrote the same meanwhile
            storage.upload(key, rows.path, if_absent=True)
    return digest, key


def load(snapshot: Snapshot, storage: Storage) -> pd.DataFrame:
    """The rows of a snapshot, canonical, sorted by id.

    Raises:
        DataError: the stored rows are not those the digest names.
        StorageError: the store does not have them or does not answer.
    """
    return rows_of(snapshot.key, snapshot.digest, storage)


def rows_of(key: str, digest: str, storage: Storage) -> pd.DataFrame:
    """The rows under a key if they are those the digest names; raises as `load` does."""
    with opened(key, digest, storage) as rows:
        return pd.concat(rows.frames(), ignore_index=True)


@contextmanager
def opened(key: str, digest: str, storage: Storage) -> Iterator[RowsFile]:
    """The rows under a key to read in parts, sorted by id; raises as `load` does."""
    with _at_hand(key, storage) as rows:
        with _readable(key, storage):
            found = rows.digest()
        if found != digest:
            raise DataError(
                f"{key} in {storage.uri}: the rows have the digest {found} and not {digest}; it "
                "was changed: delete it and ingest again"
            )
        yield rows


def ids_of(key: str, storage: Storage) -> Iterator[pa.Array]:
    """The ids in a stored snapshot in order, some at a time; raises as `load` does."""
    with _at_hand(key, storage) as rows, _readable(key, storage):
        yield from rows.ids()


def note(night: NightRows, pipeline_name: str, storage: Storage) -> None:
    """Keep what a night took in; a rerun of the same date replaces it."""
    content = json.dumps(asdict(night), sort_keys=True, indent=1).encode()
    storage.put(note_key(pipeline_name, night.date), content)


def recent(pipeline_name: str, storage: Storage, before: date, limit: int = 14) -> list[NightRows]:
    """The last nights before a logical date that took rows in, oldest first.

    Args:
        pipeline_name: Of the pipeline.
        storage: Where snapshots are.
        before: The logical date of tonight, which is not among them.
        limit: Most nights to return.
    """
    dates = noted(pipeline_name, storage)
    last = [name for name in dates if name < before.isoformat()][-limit:]
    return [NightRows(**json.loads(storage.get(note_key(pipeline_name, name)))) for name in last]


def noted(pipeline_name: str, storage: Storage) -> list[str]:
    """The logical dates that took rows in, oldest first."""
    folder = _nights(pipeline_name)
    return [key.removeprefix(folder).removesuffix(".json") for key in storage.keys(folder)]


def note_key(pipeline_name: str, day: str) -> str:
    """Where the note of a logical date stands in the store."""
    return f"{_nights(pipeline_name)}{day}.json"


def _nights(pipeline_name: str) -> str:
    return f"snapshots/{pipeline_name}/nights/"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what is too large for memory."""
    with tempfile.TemporaryDirectory(prefix="nocturne-snapshot-") as folder:
        yield Path(folder)


def _sorted(frame: pd.DataFrame) -> pa.Table:
    """As a table, rows sorted by id."""
    twice = frame["row_id"][frame["row_id"].duplicated()]
    if len(twice):
        raise DataError(
            f"an id repeats in {counted(len(twice), 'row')}, such as {twice.iloc[0]!r}; drop them"
        )
    table = rows_file.typed(frame)
    return table.take(pc.sort_indices(table, [("row_id", "ascending")]))


@contextmanager
def _at_hand(key: str, storage: Storage) -> Iterator[RowsFile]:
    with scratch() as folder:
        file = folder / "rows.parquet"
        storage.download(key, file)
        with _readable(key, storage):
            rows = RowsFile(file)
        yield rows


@contextmanager
def _readable(key: str, storage: Storage) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{key} in {storage.uri}: no readable Parquet ({first})") from None
