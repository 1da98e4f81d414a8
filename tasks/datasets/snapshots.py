"""Snapshots: what a night read, as immutable Parquet under the digest of its content.

`snapshots/PIPELINE/DIGEST.parquet` holds rows; `snapshots/PIPELINE/nights/DATE.json` says which
snapshot a night took and counts it, so that later nights know what is usual.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet, types

from infra.storage import AlreadyExists, Storage
from model_registry.words import counted
from tasks.datasets.contents import arrow, settled
from tasks.datasets.errors import DataError
from tasks.datasets.series import SERIES_TYPE, as_series, flat
from tasks.references import Snapshot

TIME_TYPE = pa.timestamp("us", "UTC")
_TYPES = {"series": SERIES_TYPE, "time": TIME_TYPE}
_ORDER = ("row_id", "label", "text", "series", "time", "group", "split")


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
    return _digest(_table(frame))


def write(frame: pd.DataFrame, pipeline_name: str, storage: Storage) -> tuple[str, str]:
    """Store a canonical frame under the digest of its content; there already is as good.

    Returns:
        The digest and the key.

    Raises:
        DataError: two rows with one id.
        StorageError: the store refuses or does not answer.
    """
    table = _table(frame)
    digest = _digest(table)
    key = key_of(pipeline_name, digest)
    if not storage.exists(key):
        with tempfile.TemporaryDirectory(prefix="nocturne-snapshot-") as scratch:
            file = Path(scratch) / "rows.parquet"
            parquet.write_table(table, file, compression="zstd")
            with contextlib.suppress(AlreadyExists):  # another night wrote the same meanwhile
                storage.upload(key, file, if_absent=True)
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
    table = _read(key, storage)
    found = _digest(table)
    if found != digest:
        raise DataError(
            f"{key} in {storage.uri}: the rows have the digest {found} and not {digest}; it was "
            "changed: delete it and ingest again"
        )
    return pd.DataFrame({name: _pandas(table.column(name)) for name in table.column_names})


def row_ids(key: str, storage: Storage) -> set[str]:
    """The ids in a stored snapshot; raises as `load` does."""
    return set(_read(key, storage, ["row_id"]).column("row_id").to_pylist())


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


def _table(frame: pd.DataFrame) -> pa.Table:
    """Columns in one order and of one type each, rows sorted by id."""
    twice = frame["row_id"][frame["row_id"].duplicated()]
    if len(twice):
        raise DataError(
            f"an id repeats in {counted(len(twice), 'row')}, such as {twice.iloc[0]!r}; drop them"
        )
    slices = sorted(name for name in frame.columns if name not in _ORDER)
    names = [name for name in (*_ORDER, *slices) if name in frame.columns]
    columns = {name: arrow(frame[name]).cast(_TYPES.get(name, pa.large_string())) for name in names}
    table = pa.table(columns)
    return table.take(pc.sort_indices(table, [("row_id", "ascending")]))


def _read(key: str, storage: Storage, columns: list[str] | None = None) -> pa.Table:
    with tempfile.TemporaryDirectory(prefix="nocturne-snapshot-") as scratch:
        file = Path(scratch) / "rows.parquet"
        storage.download(key, file)
        try:
            return parquet.read_table(file, columns=columns, memory_map=False)
        except (pa.ArrowException, OSError) as error:
            first = str(error).partition("\n")[0]
            raise DataError(f"{key} in {storage.uri}: no readable Parquet ({first})") from None


def _pandas(values: pa.ChunkedArray) -> pd.Series:
    if types.is_list(values.type):
        return as_series(values)
    if types.is_timestamp(values.type):
        times: pd.Series = values.to_pandas()
        return times
    return pd.Series(values.to_pandas(), dtype="str")


def _digest(table: pa.Table) -> str:
    """Over names, types and values, not over buffers: those differ between library versions."""
    hasher = hashlib.sha256(b"nocturne snapshot 1\n")
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        kind = "series" if types.is_list(column.type) else str(_TYPES.get(name, "text"))
        hasher.update(f"{name}\0{kind}\0{len(column)}\n".encode())
        for part in _parts(column):
            hasher.update(part)
    return hasher.hexdigest()


def _parts(column: pa.Array) -> Iterator[bytes]:
    """What there is, how long it is, and what it says."""
    yield np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if types.is_list(column.type):
        values, offsets = flat(column)
        yield np.int64(values.shape[1]).astype("<i8").tobytes()
        yield np.diff(offsets).astype("<i8").tobytes()
        yield settled(values).astype("<f4").tobytes()
    elif types.is_timestamp(column.type):
        yield column.cast(pa.int64()).fill_null(0).to_numpy().astype("<i8").tobytes()
    else:
        text = column.cast(pa.large_string()).fill_null("")
        yield pc.binary_length(text).to_numpy().astype("<i8").tobytes()
        yield "".join(text.to_pylist()).encode()
