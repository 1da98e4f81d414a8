"""Files that are whole or not there: a cut write leaves the old file as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import keras

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def save(model: keras.Model, path: Path) -> None:
    """Write the model without its optimiser.

    Args:
        model: A functional model.
        path: Ends in `.keras`; the folder is made where absent.
    """
    import keras

    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    write(path, lambda file: bare.save(file.name))


def write(path: Path, content: Callable[[BinaryIO], Any]) -> None:
    """Write a file beside, flush it to disk and move it into place.

    Args:
        path: Where to; the folder is made where absent.
        content: Writes to the file it is given.

    Raises:
        OSError: the disk refused; where it is full, the message says so and what to do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        with partial.open("w+b") as file:
            content(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        said = f"disk full writing {path}: free some space, then run it again"
        raise OSError(error.errno, said) from None
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
