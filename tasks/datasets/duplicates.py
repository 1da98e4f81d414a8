"""Rows that say the same twice, and ids that say two things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tasks.datasets.columns import ids_in
from tasks.datasets.contents import among, fingerprints, input_name, numbers, plain
from tasks.datasets.errors import DataError
from tasks.datasets.parts import gathered
from tasks.datasets.rows_file import RowsFile, framed


def without_duplicates(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Each id once, and each input once with the same label.

    Of rows with one id the newest stays. Of rows with equal input and equal label the oldest
    stays, or where there is no time the one whose id is shortest and first in the alphabet:
    the row of an earlier night, where ids count up. Rows without input or label are no
    duplicates, and the validation and test rows of an official split stay as they were given.

    Args:
        frame: A canonical frame, in any order.

    Returns:
        The frame without them, in the same order, and how many rows were dropped.

    Raises:
        DataError: an id with different content and no time that says which is newer.
    """
    rows = _facts(frame)
    keep, unclear = _newest_of_id(rows)
    _refuse(unclear)
    kept = rows[keep]
    stays = kept.index[~_again(kept)]
    return frame.loc[stays].reset_index(drop=True), len(frame) - len(stays)


def distinct(tables: Iterable[pa.Table], folder: Path) -> tuple[RowsFile, int]:
    """What `without_duplicates` does, for rows that are too many to be in memory at once.

    In memory are 17 bytes a row, and a few hundred for each row whose input another row has.

    Args:
        tables: Of canonical rows in the order of their ids; those of one id are in one table.
        folder: For files.

    Returns:
        The rows in order, and how many were dropped.

    Raises:
        DataError: as `without_duplicates` does.
    """
    inputs: list[NDArray[np.uint64]] = []
    unclear: list[str] = []
    given = 0

    def once() -> Iterator[pa.Table]:
        nonlocal given
        for table in gathered(tables):
            given += table.num_rows
            rows = _facts(framed(table))
            keep, contradicting = _newest_of_id(rows)
            unclear.extend(contradicting)
            inputs.append(numbers(plain(rows["input"][keep])))
            yield table if keep.all() else table.filter(pa.array(keep))

    rows = RowsFile.written(folder / "once.parquet", once())
    _refuse(unclear)
    every = np.concatenate(inputs)
    inputs.clear()
    again = _repeats(rows, every)
    if again.any():
        rows = RowsFile.written(folder / "distinct.parquet", rows.without(again))
    return rows, given - rows.rows


def _facts(frame: pd.DataFrame) -> pd.DataFrame:
    """What decides of each row whether it stays."""
    inputs = fingerprints(frame[input_name(frame)])
    rows = pd.DataFrame({"id": frame["row_id"], "input": inputs, "label": frame["label"]})
    rows["time"] = frame.get("time", pd.NaT)
    rows["given"] = frame["split"] != "train" if "split" in frame else False
    return rows


def _newest_of_id(rows: pd.DataFrame) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows are the newest of their id, and ids of which that is not clear."""
    several = rows[rows["id"].duplicated(keep=False)]
    keep = np.ones(len(rows), bool)
    if several.empty:
        return keep, []
    newest = several.groupby("id")["time"].transform("max")
    last = several[(several["time"] == newest) | newest.isna()]
    contents = last.drop_duplicates(["id", "input", "label"])
    keep[several.index] = False
    keep[last.drop_duplicates("id").index] = True
    return keep, contents[contents["id"].duplicated()]["id"].unique().tolist()


def _refuse(unclear: list[str]) -> None:
    if unclear:
        raise DataError(
            f"{len(unclear)} ids stand for different rows: {ids_in(unclear)}; an id is "
            "unique, or columns.time says which of its rows is the newest"
        )


def _repeats(rows: RowsFile, inputs: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows repeat another, `(rows,)`: only those with equal numbers are looked at."""
    ordered = np.sort(inputs)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    again, first = np.zeros(rows.rows, bool), 0
    del ordered
    if not twice.any():
        return again
    alike = []
    for frame in rows.frames():
        here = among(inputs[first : first + len(frame)], twice)
        frame.index += first
        alike.append(_facts(frame[here]))
        first += len(frame)
    suspects = pd.concat(alike)
    again[suspects.index[_again(suspects)]] = True
    return again


def _again(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows repeat another, `(rows,)`."""
    length = rows["id"].str.len()
    ordered = rows.assign(length=length).sort_values(["time", "length", "id"], kind="stable")
    whole = ordered["input"].notna() & ordered["label"].notna() & ~ordered["given"]
    again = ordered[whole].duplicated(["input", "label"])
    found: NDArray[np.bool_] = rows.index.isin(again.index[again])
    return found
