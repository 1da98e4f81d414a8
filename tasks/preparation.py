"""From clean canonical rows to encoded train, validation and test rows, a part at a time.

In memory are a part of the rows, one byte for each row, and what `Judging` and fitting hold; the
encoded rows go to files as they come.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_registry.spending import DIGITS, sketch_of
from tasks.config import Pipeline
from tasks.ragged import Examples, ExamplesWriter, Growing, Ragged, RaggedWriter

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tasks.datasets.rows_file import RowsFile
    from tasks.sequences.preprocessor import Preprocessor

    Frames = Callable[[], Iterator[pd.DataFrame]]

SPLITS = ("train", "validation", "test")
VECTORS = "vectors.npy"
DROPPED = -1


@dataclass(frozen=True)
class Encoded:
    """What was made of rows; their arrays lie in a folder.

    Attributes:
        classes: Label order.
        preprocessor: Fitted on the train rows.
        copies: Dropped train rows that were copies of "test" or "validation" rows.
        given: Split to class to rows before copies were dropped.
        kept: The same after.
        notes: What a person should know, in words.
    """

    classes: tuple[str, ...]
    preprocessor: Preprocessor
    copies: Mapping[str, int]
    given: Mapping[str, Mapping[str, int]]
    kept: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]


def encode(
    rows: RowsFile, pipeline: Pipeline, folder: Path, unlabelled: RowsFile | None = None
) -> Encoded:
    """Split rows, drop copies from train, fit on train, encode all.

    Args:
        rows: Clean canonical rows, every one with a label.
        pipeline: Says how to split and what to make of the rows.
        folder: Gets train/, validation/ and test/ (arrays), the raw rows in the same order as
            rows_train.parquet and its like, and vectors.npy where the pipeline asks for them:
            one for each word's id, zeros where none was learnt.
        unlabelled: Texts without labels, for pipelines that ask for vectors; what validation or
            test rows say too is left out.

    Raises:
        ConfigError: preprocessing that names no entry of a table, or an unknown option.
        DataError: rows without label, an empty split, or a class that no train row has.
    """
    from tasks.datasets.splits import classes_of, codes_of
    from tasks.sequences.preprocessor import fit_preprocessor

    facts = _facts(rows)
    _refuse_unlabelled(facts())
    sides = Sides(rows, codes_of(facts, pipeline.split))
    given = classes_of(facts, sides.codes)
    copies = _drop_copies(sides, pipeline.split.near_duplicates)
    kept = classes_of(facts, sides.codes)
    classes = tuple(sorted({*pipeline.contract.labels}.union(*given.values())))
    notes = _notes_on_classes(classes, kept)
    others = None
    if unlabelled is not None and pipeline.preprocessing.vectors:
        others = _unseen(unlabelled, sides)
    train, asked = sides.frames("train"), pipeline.preprocessing
    preprocessor = fit_preprocessor(pipeline.kind, asked, train, others and others())
    for split in SPLITS:
        _write(sides, split, preprocessor, classes, folder)
    if asked.vectors:
        _learn_vectors(pipeline, preprocessor, folder, others)
    return Encoded(classes, preprocessor, copies, given, kept, notes)


@dataclass
class Sides:
    """Rows, and on which side each is.

    Attributes:
        rows: All of them.
        codes: `(rows,)` int8, indices into SPLITS, or DROPPED.
    """

    rows: RowsFile
    codes: NDArray[np.int8]

    def tables(self, split: str) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """The rows of a split in parts that are not empty, and their places among all."""
        import pyarrow as pa

        first = 0
        for table in self.rows.tables():
            here = self.codes[first : first + table.num_rows] == SPLITS.index(split)
            if here.any():
                yield first + np.flatnonzero(here), table.filter(pa.array(here))
            first += table.num_rows

    def frames(self, split: str) -> Iterator[pd.DataFrame]:
        """The same as canonical frames."""
        from tasks.datasets.rows_file import framed

        return (framed(table) for _, table in self.tables(split))


def _facts(rows: RowsFile) -> Frames:
    """All columns but the input."""
    columns = [name for name in rows.names if name not in ("text", "series")]
    return lambda: rows.frames(columns)


def _refuse_unlabelled(facts: Iterator[pd.DataFrame]) -> None:
    from tasks.datasets.errors import DataError

    missing, first = 0, ""
    for frame in facts:
        without = frame["row_id"][frame["label"].isna()]
        first = without.iloc[0] if len(without) and not missing else first
        missing += len(without)
    if missing:
        raise DataError(
            f"label: every row needs one here, {missing} have none (first: row {first!r}); let "
            "validation put them into quarantine"
        )


def _drop_copies(sides: Sides, similarity: float) -> dict[str, int]:
    """Take train rows off that are copies, exact or near, of a test row or else a validation row.

    Returns:
        How many were copies of each.
    """
    from tasks.datasets.contents import among
    from tasks.datasets.near_duplicates import Comparable, Judging
    from tasks.datasets.rows_file import framed

    judging = {
        split: (Judging(sides.frames(split), similarity), _numbers(sides.frames(split)))
        for split in ("test", "validation")
    }
    found = dict.fromkeys(judging, 0)
    for places, table in sides.tables("train"):
        train = framed(table)
        inputs, exact = Comparable.of(train), _numbers_of(train)
        left = np.ones(len(train), bool)
        for split, (near, known) in judging.items():
            dropped = left & (among(exact, known) | near.copies(inputs))
            sides.codes[places[dropped]] = DROPPED
            found[split] += int(dropped.sum())
            left &= ~dropped
    return found


def _numbers(*frames: Iterator[pd.DataFrame]) -> NDArray[np.uint64]:
    """A number for each input, sorted."""
    every = [_numbers_of(frame) for some in frames for frame in some]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *every]))


def _numbers_of(frame: pd.DataFrame) -> NDArray[np.uint64]:
    from tasks.datasets.contents import fingerprints, input_name, numbers

    return numbers(fingerprints(frame[input_name(frame)]))


def _unseen(unlabelled: RowsFile, sides: Sides) -> Frames:
    """Texts that no validation or test row says."""
    from tasks.datasets.contents import among

    judging = _numbers(*(sides.frames(split) for split in SPLITS[1:]))

    def unseen() -> Iterator[pd.DataFrame]:
        for frame in unlabelled.frames():
            yield frame[~among(_numbers_of(frame), judging)].reset_index(drop=True)

    return unseen


def _learn_vectors(
    pipeline: Pipeline, preprocessor: Preprocessor, folder: Path, others: Frames | None
) -> None:
    """A vector for each word, learnt from train rows and texts without labels."""
    from tasks.sequences.skipgram import skip_gram

    texts, scratch = [Examples.load(folder / "train").inputs], folder / "unlabelled"
    if others is not None:
        with RaggedWriter(scratch) as encoded:
            for frame in others():
                encoded.append(preprocessor.encode(frame))
        texts.append(Ragged.load(scratch))
    vectors = skip_gram(texts, pipeline.preprocessing.vectors, seed=pipeline.seed)
    np.save(folder / VECTORS, vectors, allow_pickle=False)
    shutil.rmtree(scratch, ignore_errors=True)


def _notes_on_classes(
    classes: tuple[str, ...], found: Mapping[str, Mapping[str, int]]
) -> tuple[str, ...]:
    """What the splits lack that a night can bear.

    Raises:
        DataError: what it cannot: an empty split, one class, a class that cannot be learnt.
    """
    from tasks.datasets.errors import DataError

    sizes = {split: sum(found[split].values()) for split in SPLITS}
    if not all(sizes.values()):
        raise DataError(
            f"split: train, validation and test each need rows, got {sizes}; ingest more rows or "
            "change the shares in `split`"
        )
    if len(found["train"]) < 2:
        raise DataError(
            f"train rows: need at least two classes, got {list(found['train'])}; look at the "
            "labels and at `split`"
        )
    notes = []
    for label in classes:
        missing = [split for split in SPLITS if not found[split].get(label)]
        if len(missing) == len(SPLITS):
            notes.append(f"class {label!r} has no row at all; it keeps its place in the answers")
        elif "train" in missing:
            where = {split: found[split].get(label, 0) for split in SPLITS}
            raise DataError(
                f"class {label!r}: cannot be learnt, no train row has it ({where}); bring more "
                "rows of it, or change `split`, or leave its rows out"
            )
        elif missing:
            notes.append(f"class {label!r} has no row in {' and '.join(missing)}; not judged there")
    return tuple(notes)


def _write(
    sides: Sides, split: str, preprocessor: Preprocessor, classes: tuple[str, ...], folder: Path
) -> None:
    """Arrays, groups and raw rows of a split, all in one order."""
    from tasks.datasets.rows_file import RowsFile, framed
    from tasks.datasets.splits import units_of

    numbers = {label: number for number, label in enumerate(classes)}
    ids = _width(frame["row_id"] for frame in sides.frames(split))
    grouped = "group" in sides.rows.names
    units = _width(units_of(frame) for frame in sides.frames(split)) if grouped else ids

    def written() -> Iterator[pa.Table]:
        with ExamplesWriter(folder / split) as arrays, _groups(folder / split, grouped) as groups:
            for _, table in sides.tables(split):
                frame = framed(table)
                labels = np.array([numbers[label] for label in frame["label"]], np.int32)
                row_ids = frame["row_id"].to_numpy().astype(ids)
                arrays.add(Examples(preprocessor.encode(frame), labels, row_ids))
                if groups is not None:
                    groups.append(units_of(frame).to_numpy().astype(units))
                yield table

    RowsFile.written(folder / f"rows_{split}.parquet", written())


@contextmanager
def _groups(folder: Path, grouped: bool) -> Iterator[Growing | None]:  # noqa: FBT001
    if not grouped:
        yield None
        return
    with closing(Growing(folder / "groups.npy")) as file:
        yield file


def _width(names: Iterator[pd.Series]) -> str:
    """The type of an array that holds the longest of them."""
    return f"<U{max((int(some.str.len().max()) for some in names), default=1) or 1}"


def digest_of_rows(rows: Iterable[pd.DataFrame]) -> str:
    """sha256 over the ids, inputs and labels of test rows, which are in the order of their ids."""
    from tasks.datasets.contents import fingerprints, input_name

    hasher, begun = hashlib.sha256(), False
    for frame in rows:
        inputs = fingerprints(frame[input_name(frame)])
        for row in zip(frame["row_id"], inputs, frame["label"], strict=True):
            hasher.update((", " if begun else "[").encode() + json.dumps(row).encode())
            begun = True
    hasher.update(b"]" if begun else b"[]")
    return hasher.hexdigest()


def sketch_of_rows(rows: Iterable[pd.DataFrame]) -> str:
    """Which inputs test rows have, by a sample that recognises them in other sets."""
    from tasks.datasets.contents import fingerprints, input_name

    sketch = ""
    for frame in rows:
        held = [sketch[at : at + DIGITS] for at in range(0, len(sketch), DIGITS)]
        sketch = sketch_of([*held, *fingerprints(frame[input_name(frame)])])
    return sketch
