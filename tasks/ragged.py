"""Variable-length sequences without padding: what every room of `tasks` hands to the next.

A `Ragged` keeps all steps of all rows in one flat array and where each row begins, so that
rows of any length cost only their own steps. Padding happens once, in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length.

    Attributes:
        values: `(steps,)` or `(steps, width)` int32 token ids, or `(steps, channels)` float32;
            all rows in order.
        offsets: `(rows + 1,)` int64; row `i` is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: NDArray[np.int32] | NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.int32] | NDArray[np.float32]]) -> Ragged:
        """From one array a row, all of the same dtype and channels.

        Raises:
            ValueError: no rows, so that neither dtype nor channels are known.
        """
        if not len(rows):
            raise ValueError("Ragged.of: needs at least one row to know dtype and channels; got 0")
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        values: NDArray[Any] = np.concatenate(rows)
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts, at least one, one part after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        values: NDArray[Any] = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each row, `(rows,)`."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """The rows asked for, in that order, repeats allowed."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        steps = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Ragged(self.values[steps], offsets)

    def cut(self, length: int) -> Ragged:
        """The first `length` steps of each row."""
        kept = np.minimum(self.lengths, length)
        offsets = np.concatenate([[0], np.cumsum(kept)])
        if offsets[-1] == self.offsets[-1]:
            return self
        steps = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], kept)
        return Ragged(self.values[steps], offsets)

    def padded(self, length: int | None = None) -> NDArray[np.int32] | NDArray[np.float32]:
        """Right-padded with zeros, `(rows, length)` or `(rows, length, channels)`.

        Args:
            length: Steps of the result; the longest row's where absent. Longer rows are cut.
        """
        length = int(self.lengths.max(initial=0)) if length is None else length
        present = self.mask(length)
        dense = np.zeros((len(self), length, *self.values.shape[1:]), self.values.dtype)
        kept = np.minimum(self.lengths, length)
        first = np.repeat(self.offsets[:-1], kept)
        within = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        dense[present] = self.values[first + within]
        return dense

    def mask(self, length: int) -> NDArray[np.bool_]:
        """True where a step is real, `(rows, length)`."""
        return np.arange(length) < self.lengths[:, None]

    def save(self, directory: Path) -> None:
        """Write `values.npy` and `offsets.npy`; the directory is made where absent."""
        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / "values.npy", self.values, allow_pickle=False)
        np.save(directory / "offsets.npy", self.offsets, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Ragged:
        """Memory-mapped from what `save` wrote; never unpickles."""
        read = (
            np.load(directory / f"{n}.npy", mmap_mode="r", allow_pickle=False)
            for n in ("values", "offsets")
        )
        return cls(*read)


@dataclass(frozen=True)
class Examples:
    """Encoded rows with what they should be called.

    Attributes:
        inputs: The encoded sequences.
        labels: `(rows,)` int32, indices into the pipeline's classes.
        row_ids: `(rows,)` of str, ids in the snapshot.
        targets: `(rows, classes)` float32, what a fit learns in the place of the labels; None: the
            labels. Neither saved nor joined.
    """

    inputs: Ragged
    labels: NDArray[np.int32]
    row_ids: NDArray[np.str_]
    targets: NDArray[np.float32] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """The rows of all parts, at least one, one part after the other."""
        return cls(
            Ragged.joined([part.inputs for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.row_ids for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """The rows asked for, in that order, repeats allowed."""
        targets = None if self.targets is None else self.targets[rows]
        return Examples(self.inputs.take(rows), self.labels[rows], self.row_ids[rows], targets)

    def save(self, directory: Path) -> None:
        """Write the arrays; the directory is made where absent."""
        self.inputs.save(directory)
        np.save(directory / "labels.npy", self.labels, allow_pickle=False)
        np.save(directory / "row_ids.npy", self.row_ids, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Examples:
        """Memory-mapped from what `save` wrote; never unpickles."""
        read = (
            np.load(directory / f"{n}.npy", mmap_mode="r", allow_pickle=False)
            for n in ("labels", "row_ids")
        )
        return cls(Ragged.load(directory), *read)


class Growing:
    """An `.npy` file that is written from its beginning to its end; `numpy.load` reads it.

    Args:
        path: The file; its folder is made where absent.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._length = 0
        self._form: NDArray[Any] | None = None

    def append(self, values: NDArray[Any]) -> None:
        """Write rows behind those before, of the same dtype and shape."""
        if self._form is None:
            self._form = values[:0]
            self._write_header()
        self._file.write(np.ascontiguousarray(values, self._form.dtype).tobytes())
        self._length += len(values)

    def close(self) -> None:
        """Say how long it has become."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        """NumPy leaves room in it for any length, so that it can be written again."""
        if self._form is not None:
            form = np.lib.format.header_data_from_array_1_0(self._form)
            shape = (self._length, *self._form.shape[1:])
            header = {**form, "shape": shape, "fortran_order": False}
            np.lib.format.write_array_header_1_0(self._file, header)


class RaggedWriter:
    """What `Ragged.save` writes, a part at a time.

    Args:
        directory: Made where absent.
    """

    def __init__(self, directory: Path) -> None:
        self._open = ExitStack()
        self._directory = directory
        self._steps = 0
        self._values, self._offsets = self._growing("values"), self._growing("offsets")
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, rows: Ragged) -> None:
        """Rows behind those before, of the same dtype and channels."""
        self._values.append(rows.values)
        self._offsets.append(rows.offsets[1:] + self._steps)
        self._steps += int(rows.offsets[-1])

    def _growing(self, name: str) -> Growing:
        file = Growing(self._directory / f"{name}.npy")
        self._open.callback(file.close)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()


class ExamplesWriter(RaggedWriter):
    """What `Examples.save` writes, a part at a time."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._labels, self._row_ids = self._growing("labels"), self._growing("row_ids")

    def add(self, part: Examples) -> None:
        """Rows behind those before; ids are of one width in all parts."""
        self.append(part.inputs)
        self._labels.append(part.labels)
        self._row_ids.append(part.row_ids)


@dataclass(frozen=True)
class InputSpec:
    """What a model is fed.

    Attributes:
        kind: `text`: int32 token ids `(batch, time)`, 0 pads and 1 is unknown; with a width
            above 1 `(batch, time, width)`, first the token's own id, then its pieces', 0: none.
            `numeric`: float32 `(batch, time, size)` whose *last* channel is presence: 1 at a
            real step, 0 at padding; it is the mask.
        size: Vocabulary size, or channels with the presence channel counted.
        width: Ids of one token (text only).
        vectors: Width of the word vectors learnt before; 0: none.
        steps: Median length of the train rows (series only); 0: not known.
    """

    kind: str
    size: int
    width: int = 1
    vectors: int = 0
    steps: int = 0
