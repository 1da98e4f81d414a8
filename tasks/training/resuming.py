"""A fit that was killed goes on after its last whole epoch, to the very same weights.

After every epoch one file takes all that the next ones depend on: weights, seeds of dropout
and optimiser (its iterations drive the schedule), what each callback remembers, and the states
of Python's and NumPy's generators. Batches need nothing kept: they follow from seed and epoch.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from tasks.training.checkpoints import write
from tasks.training.epochs import Arrays, pack, unpack
from tasks.training.vectors import moving

logger = logging.getLogger(__name__)


@runtime_checkable
class Remembers(Protocol):
    """A callback with a memory that outlives its process."""

    def memory(self) -> tuple[dict[str, Any], Arrays]:
        """Plain values and arrays, from which `recall` makes the callback what it is now."""

    def recall(self, values: dict[str, Any], arrays: Arrays) -> None:
        """Become what `memory` told."""


class Resume(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps each epoch in a file and begins after the one it finds there; goes last in the list.

    Args:
        path: Of the file; the folder is made where absent.
        beside: The other callbacks; those with a memory take part.
        epochs: Of the whole fit.
    """

    def __init__(self, path: Path, beside: Sequence[Any], *, epochs: int) -> None:
        super().__init__()
        self._path = path
        self._with_memory = [each for each in beside if isinstance(each, Remembers)]
        self._found = unpack(path)
        self._warned = False
        self.done = self._found[0]["epoch"] if self._found else 0
        over = self._found is not None and self._found[0]["stopped"]
        self.first_epoch = epochs if over else self.done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Put back what was kept, after every callback has set itself to its beginning."""
        del logs
        if self._found is None:
            return
        values, arrays = self._found
        self.model.optimizer.build(self.model.trainable_variables)
        left = iter(arrays)
        for variable in self._variables():
            variable.assign(next(left))
        for each, (memory, count) in zip(self._with_memory, values["memories"], strict=True):
            each.recall(memory, [next(left) for _ in range(count)])
        version, state, gauss = values["python"]
        random.setstate((version, tuple(state), gauss))
        np.random.set_state(("MT19937", next(left), *values["numpy"]))  # noqa: NPY002
        self._found = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the file; a disk that is full costs the resume, not the training."""
        del logs
        told = [each.memory() for each in self._with_memory]
        _, generator, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
        values = {
            "epoch": epoch + 1,
            "stopped": bool(self.model.stop_training),
            "memories": [(memory, len(arrays)) for memory, arrays in told],
            "python": random.getstate(),
            "numpy": rest,
        }
        arrays = [np.asarray(variable) for variable in self._variables()]
        arrays += [array for _, those in told for array in those]
        arrays.append(np.asarray(generator))
        try:
            write(self._path, lambda file: pack(file, values, arrays))
        except OSError as error:
            if not self._warned:
                logger.warning("%s; until then a kill costs all epochs so far", error.strerror)
            self._warned = True

    def _variables(self) -> list[Any]:
        """All that moves of the model, seeds of dropout too, and of its optimiser."""
        return [*moving(self.model), *self.model.optimizer.variables]
