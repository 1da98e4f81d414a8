"""The file of a fit that goes on: plain values and arrays; read without Keras, never unpickled."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Arrays = list[NDArray[Any]]


def pack(file: IO[bytes], values: dict[str, Any], arrays: Arrays) -> None:
    """Write values, as JSON, and arrays into an open file."""
    told = np.frombuffer(json.dumps(values).encode(), np.uint8)
    np.savez(file, told, *arrays)


def unpack(path: Path, *, arrays: bool = True) -> tuple[dict[str, Any], Arrays] | None:
    """What `pack` wrote; None where there is no file, or none that is whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            values: dict[str, Any] = json.loads(archive["arr_0"].tobytes())
            count = len(archive.files) if arrays else 1
            return values, [archive[f"arr_{number}"] for number in range(1, count)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s cannot be read (%s): trained from the start", path, error)
        return None


def epochs_kept(path: Path) -> int:
    """After which epoch a fit would go on; 0 where nothing is kept."""
    found = unpack(path, arrays=False)
    return int(found[0]["epoch"]) if found else 0


def resumable(candidates: Path) -> dict[str, int]:
    """Candidate to the epochs kept of the fit it was in, for those that were killed in one.

    Args:
        candidates: The folder with a folder a candidate.
    """
    files = sorted(candidates.glob("*/resume/*.npz"), key=lambda path: path.stat().st_mtime)
    return {path.parents[1].name: epochs_kept(path) for path in files}
