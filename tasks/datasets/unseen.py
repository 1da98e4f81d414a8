"""Which rows are new, whatever they are called: neither their id nor their content was there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.datasets.contents import fingerprints, input_name

if TYPE_CHECKING:
    import pandas as pd


def unseen(frame: pd.DataFrame, *earlier: pd.DataFrame) -> pd.DataFrame:
    """The labelled rows of a canonical frame that none of the earlier ones holds.

    Args:
        frame: Rows of tonight.
        earlier: Canonical frames, of the same input.
    """
    name = input_name(frame)
    ids = {one for before in earlier for one in before["row_id"]}
    contents = {one for before in earlier for one in fingerprints(before[name])} - {None}
    known = [
        row_id in ids or content in contents
        for row_id, content in zip(frame["row_id"], fingerprints(frame[name]), strict=True)
    ]
    new = ~np.array(known, bool) & frame["label"].notna().to_numpy()
    return frame[new].reset_index(drop=True)
