"""Rows that say the same twice, and ids that say two things."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.datasets.columns import ids_in
from tasks.datasets.contents import fingerprints, input_name
from tasks.datasets.errors import DataError


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
    inputs = fingerprints(frame[input_name(frame)])
    rows = pd.DataFrame({"id": frame["row_id"], "input": inputs, "label": frame["label"]})
    rows["time"] = frame.get("time", pd.NaT)
    rows["given"] = frame["split"] != "train" if "split" in frame else False
    kept = rows[_newest_of_id(rows)]
    again = _again(kept)
    stays = kept.index[~again]
    return frame.loc[stays].reset_index(drop=True), len(frame) - len(stays)


def _newest_of_id(rows: pd.DataFrame) -> NDArray[np.bool_]:
    several = rows[rows["id"].duplicated(keep=False)]
    keep = np.ones(len(rows), bool)
    if several.empty:
        return keep
    newest = several.groupby("id")["time"].transform("max")
    last = several[(several["time"] == newest) | newest.isna()]
    contents = last.drop_duplicates(["id", "input", "label"])
    unclear = contents[contents["id"].duplicated()]["id"].unique()
    if len(unclear):
        raise DataError(
            f"{len(unclear)} ids stand for different rows: {ids_in(unclear.tolist())}; an id is "
            "unique, or columns.time says which of its rows is the newest"
        )
    keep[several.index] = False
    keep[last.drop_duplicates("id").index] = True
    return keep


def _again(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows repeat another, `(rows,)`."""
    length = rows["id"].str.len()
    ordered = rows.assign(length=length).sort_values(["time", "length", "id"], kind="stable")
    whole = ordered["input"].notna() & ordered["label"].notna() & ~ordered["given"]
    again = ordered[whole].duplicated(["input", "label"])
    found: NDArray[np.bool_] = rows.index.isin(again.index[again])
    return found
