"""From a clean canonical frame to encoded train, validation and test rows, all in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_registry.spending import sketch_of
from tasks.config import Pipeline
from tasks.ragged import Examples

if TYPE_CHECKING:
    import pandas as pd

    from tasks.sequences.preprocessor import Preprocessor

SPLITS = ("train", "validation", "test")
VECTORS = "vectors.npy"


@dataclass(frozen=True)
class Encoded:
    """Rows ready for candidates, still in memory.

    Attributes:
        classes: Label order.
        preprocessor: Fitted on the train rows.
        rows: Split to its raw rows.
        examples: Split to the same rows encoded, in the same order.
        copies: Dropped train rows that were copies of "test" or "validation" rows.
        given: Split to class to rows before copies were dropped.
        notes: What a person should know, in words.
        vectors: `(ids, features)`, one for each word's id, zeros where none was learnt; None
            where the pipeline asks for none.
    """

    classes: tuple[str, ...]
    preprocessor: Preprocessor
    rows: Mapping[str, pd.DataFrame]
    examples: Mapping[str, Examples]
    copies: Mapping[str, int]
    given: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]
    vectors: NDArray[np.float32] | None = None


def encode(
    frame: pd.DataFrame, pipeline: Pipeline, unlabelled: pd.DataFrame | None = None
) -> Encoded:
    """Split a canonical frame, drop copies from train, fit on train, encode all.

    Args:
        frame: Clean canonical rows, every one with a label.
        pipeline: Says how to split and what to make of the rows.
        unlabelled: Texts without labels, for pipelines that ask for vectors; what validation or
            test rows say too is left out.

    Raises:
        ConfigError: preprocessing that names no entry of a table, or an unknown option.
        DataError: rows without label, an empty split, or a class that no train row has.
    """
    from tasks.datasets.splits import assign
    from tasks.sequences.preprocessor import fit_preprocessor

    _refuse_unlabelled(frame)
    sides = assign(frame, pipeline.split)
    rows = {split: frame[sides == split].reset_index(drop=True) for split in SPLITS}
    given = {split: counts(rows[split]) for split in SPLITS}
    rows["train"], copies = _without_copies(rows, pipeline.split.near_duplicates)
    classes = tuple(sorted({*pipeline.contract.labels, *frame["label"]}))
    notes = _notes_on_classes(classes, {split: counts(rows[split]) for split in SPLITS})
    others = None
    if unlabelled is not None and pipeline.preprocessing.vectors:
        others = _unseen(unlabelled, rows)
    preprocessor = fit_preprocessor(pipeline.kind, pipeline.preprocessing, rows["train"], others)
    examples = {split: _examples(rows[split], preprocessor, classes) for split in SPLITS}
    vectors = _vectors(pipeline, preprocessor, examples["train"], others)
    return Encoded(classes, preprocessor, rows, examples, copies, given, notes, vectors)


def _unseen(unlabelled: pd.DataFrame, rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Texts that no validation or test row says."""
    from tasks.datasets.contents import fingerprints

    judging = {one for split in SPLITS[1:] for one in fingerprints(rows[split]["text"])}
    unseen = np.array([one not in judging for one in fingerprints(unlabelled["text"])], bool)
    return unlabelled[unseen].reset_index(drop=True)


def _vectors(
    pipeline: Pipeline, preprocessor: Preprocessor, train: Examples, others: pd.DataFrame | None
) -> NDArray[np.float32] | None:
    """A vector for each word, learnt from train rows and texts without labels."""
    if not pipeline.preprocessing.vectors:
        return None
    from tasks.sequences.skipgram import skip_gram

    texts = [train.inputs, *([] if others is None else [preprocessor.encode(others)])]
    return skip_gram(texts, pipeline.preprocessing.vectors, seed=pipeline.seed)


def _refuse_unlabelled(frame: pd.DataFrame) -> None:
    from tasks.datasets.errors import DataError

    missing = frame["row_id"][frame["label"].isna()]
    if len(missing):
        raise DataError(
            f"label: every row needs one here, {len(missing)} have none (first: row "
            f"{missing.iloc[0]!r}); let validation put them into quarantine"
        )


def _without_copies(
    rows: Mapping[str, pd.DataFrame], similarity: float
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Train rows that are no copy, exact or near, of a test row or else of a validation row."""
    from tasks.datasets.contents import fingerprints, input_name
    from tasks.datasets.near_duplicates import copies

    train, found = rows["train"], {}
    name = input_name(train)
    for split in ("test", "validation"):
        known = {content for content in fingerprints(rows[split][name]) if content is not None}
        exact = np.array([content in known for content in fingerprints(train[name])], bool)
        dropped = exact | copies(train, rows[split], similarity)
        train = train[~dropped].reset_index(drop=True)
        found[split] = int(dropped.sum())
    return train, found


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Rows of each class that has any."""
    return {str(label): int(rows) for label, rows in frame["label"].value_counts().items()}


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


def _examples(
    frame: pd.DataFrame, preprocessor: Preprocessor, classes: tuple[str, ...]
) -> Examples:
    order = {label: number for number, label in enumerate(classes)}
    labels = np.array([order[label] for label in frame["label"]], np.int32)
    return Examples(preprocessor.encode(frame), labels, frame["row_id"].to_numpy().astype(np.str_))


def digest_of_rows(frame: pd.DataFrame) -> str:
    """sha256 over the ids, inputs and labels of test rows, whatever their order."""
    from tasks.datasets.contents import fingerprints, input_name

    inputs = fingerprints(frame[input_name(frame)])
    rows = zip(frame["row_id"], inputs, frame["label"], strict=True)
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def sketch_of_rows(frame: pd.DataFrame) -> str:
    """Which inputs test rows have, by a sample that recognises them in other sets."""
    from tasks.datasets.contents import fingerprints, input_name

    return sketch_of(fingerprints(frame[input_name(frame)]))
