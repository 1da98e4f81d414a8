"""Which ids of a table another holds, both in order and read a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc


def known(ours: Iterable[pa.Array], theirs: Iterable[pa.Array]) -> Iterator[NDArray[np.bool_]]:
    """Which of our ids are among theirs, part by part as ours come.

    Args:
        ours: Text in ascending order.
        theirs: The same; read as far as ours go.
    """
    others = (ids for ids in theirs if len(ids))
    held = next(others, None)
    for ids in ours:
        found = np.zeros(len(ids), bool)
        while held is not None and len(ids):
            found |= pc.is_in(ids, held).to_numpy(zero_copy_only=False)
            if pc.greater_equal(held[-1], ids[-1]).as_py():
                break
            held = next(others, None)
        yield found
