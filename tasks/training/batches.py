"""Rows of like length together, padded once, in the batch they are used in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged

PadTo = Callable[[int], int]


class BatchesOf(Protocol):
    """Cuts rows into batches by their lengths; `tasks.sequences.bucketing.bucketed` is one."""

    def __call__(
        self, lengths: NDArray[np.int64], batch_size: int, /, *, seed: int, shuffle: bool
    ) -> list[NDArray[np.int64]]:
        """Row indices of each batch; every row in exactly one."""
        ...


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """The training rows as Keras' own `fit` reads them: new batches every epoch, by the seed.

    Args:
        examples: Encoded rows.
        classes: Number of classes.
        weights: Of each row's loss, `(rows,)`; None weighs all alike.
        batch_size: Rows in a batch.
        passes: Over all rows in one epoch.
        seed: Of the order; the same seed, the same batches.
        batches_of: Cuts rows into batches.
        pad_to: From a batch's longest row to its padded length.
    """

    def __init__(
        self,
        examples: Examples,
        classes: int,
        *,
        weights: NDArray[np.float32] | None,
        batch_size: int,
        passes: int,
        seed: int,
        batches_of: BatchesOf,
        pad_to: PadTo,
    ) -> None:
        super().__init__()
        self._examples = examples
        self._one_hot = np.eye(classes, dtype=np.float32)
        self._weights = weights
        self._batch_size = batch_size
        self._passes = passes
        self._seed = seed
        self._batches_of = batches_of
        self._pad_to = pad_to
        self._lengths = examples.inputs.lengths
        self._epoch = 0
        self._batches = self._ordered()
        self._stretched = not self._shapes_show()
        self._shown: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """One batch: inputs, targets `(batch, classes)` and, where given, weights."""
        if self._shown:
            return self._shown.pop(0)
        rows = self._batches[index]
        length = self._padded_length(rows) + (self._stretched and index == 1)
        inputs = self._examples.inputs.take(rows).padded(length)
        soft = self._examples.targets
        targets = self._one_hot[self._examples.labels[rows]] if soft is None else soft[rows]
        if self._weights is None:
            return inputs, targets
        return inputs, targets, self._weights[rows]

    def begin_at(self, epoch: int) -> None:
        """Go on with a later epoch.

        Keras looks at two batches before it begins: it sees the same two as a fit that begins
        at the first epoch, so that both compile the same function.
        """
        if epoch:
            self._shown = [self[number] for number in range(min(2, len(self)))]
            self._epoch = epoch - 1
            self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self._epoch += 1
        self._stretched = False
        self._batches = self._ordered()

    def _ordered(self) -> list[NDArray[np.int64]]:
        batches: list[NDArray[np.int64]] = []
        for number in range(self._passes):
            entropy = [self._seed, self._epoch, number]
            seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
            batches += self._batches_of(self._lengths, self._batch_size, seed=seed, shuffle=True)
        return batches

    def _padded_length(self, rows: NDArray[np.int64]) -> int:
        return self._pad_to(int(self._lengths[rows].max()))

    def _shapes_show(self) -> bool:
        """Puts two lengths first, for Keras holds a dimension its first two batches share fixed.

        Returns:
            False where these batches have one length and those of a later epoch may not.
        """
        lengths = [self._padded_length(rows) for rows in self._batches]
        other = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
        if other is not None:
            batches = self._batches
            batches[1], batches[other] = batches[other], batches[1]
            return True
        return self._pad_to(int(self._lengths.min())) == lengths[0]


def probabilities(
    model: keras.Model,
    inputs: Ragged,
    *,
    batches_of: BatchesOf,
    pad_to: PadTo,
    batch_size: int = 512,
) -> NDArray[np.float32]:
    """The model's answers, in the order of the rows, `(rows, classes)` float32."""
    lengths = inputs.lengths
    answers = np.zeros((len(inputs), model.output_shape[-1]), np.float32)
    for rows in batches_of(lengths, batch_size, seed=0, shuffle=False):
        batch = inputs.take(rows).padded(pad_to(int(lengths[rows].max())))
        answers[rows] = model.predict_on_batch(batch)
    return answers
