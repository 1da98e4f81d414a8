"""Values for a new pipeline, each with the reason the data gave for it."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pandas as pd

from expectations.words import percent
from model_registry.words import counted
from tasks.config import ENSEMBLE, Pipeline
from tasks.datasets.profile import Profile

SKEWED = 3  # largest class over smallest from which balancing is worth a candidate
LEAST_JUDGED = 5  # rows of the rarest class that each side of a split should get
COMPARED = 1_000_000  # rows up to which near copies are sought: the judging ones are held for it
MOST_BAD = 0.2  # share of bad rows from which a person must look
BATCHES = ((1_000, 32), (12_000, 64), (math.inf, 128))  # most train rows, rows in a batch
UPDATES = {"text": 1_500, "numeric": 1_000}
LONGEST = 1_024  # tokens of a text that are read
READ_WHOLE = {"text": 256, "numeric": 160}  # steps up to which an LSTM reads each of them
READ = 128  # steps that it reads of longer ones, about
START_HOUR = 2  # of the nights
VECTORS = 100  # features of a word's vector
FOLDS, FOLDED_ROWS, LEAST_FOLDED = 4, 12_000, 2  # folds, most rows for them, rows of two classes
EPOCHS = (5, 12)  # fewest and most; a small set passes its rows several times in each


def propose(
    bare: Pipeline, seen: Profile, frame: pd.DataFrame, *, repeated: float
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parts of a pipeline that depend on the data, and a note for each value.

    Args:
        bare: Name, source and columns.
        seen: Profile of the rows that a night takes in, without duplicates.
        frame: The same rows, canonical; of very many some, which stand for all.
        repeated: Share of the data that are duplicates.

    Returns:
        The parts by field, and notes by dotted path as `tasks.annotated` takes them.
    """
    notes: dict[str, str] = {
        "source.reader": "A relative path is relative to the folder in which nights run."
    }
    channels = len(bare.columns.sequence)
    inputs = bare.columns.text or f"a series of {channels} channel{'s' if channels > 1 else ''}"
    preprocessing = _preprocessing(bare, seen, frame, notes)
    stride = _stride(bare, preprocessing["max_length"])
    parts = {
        "description": f"Predicts {bare.columns.label} from {inputs}.",
        "contract": _contract(bare, seen, repeated, notes),
        "preprocessing": preprocessing,
        "split": _split(bare, seen, notes),
        "training": _training(bare, seen, frame, notes),
        "candidates": _candidates(bare.kind, seen, stride, notes),
        **_folds(seen, frame, notes),
        "schedule": {"cron": start_of(bare.name)},
    }
    notes["schedule.cron"] = "The minute comes from the name: many pipelines do not start at once."
    return parts, notes


def start_of(name: str) -> str:
    """When the nights of a pipeline begin, as a cron: the minute follows from its name."""
    return f"{zlib.crc32(name.encode()) % 60} {START_HOUR} * * *"


def _contract(
    bare: Pipeline, seen: Profile, repeated: float, notes: dict[str, str]
) -> dict[str, Any]:
    grows = bare.columns.time is not None
    half = max(1, seen.rows // 2)
    needed = ("label", "text", "series", *(() if bare.columns.split else ("time",)))
    missing = sum(rows for name, rows in seen.nulls.items() if name in needed)
    bad = (missing + seen.conflicts) / max(seen.rows, 1)
    notes["contract.suite"] = "Inferred from the data: review it."
    notes["contract.labels"] = "Those of the data."
    notes["contract.min_rows"] = (
        "Low, so that early nights can be replayed."
        if grows
        else "Half of the rows seen, each counted once."
    )
    notes["contract.min_rows_per_class"] = f"The rarest class has {seen.rarest:,}."
    notes["contract.max_length"] = f"Twice the longest seen, {seen.lengths['max']:,} {seen.unit}."
    budget = math.ceil(150 * bad + 2) / 100 if 0.03 < bad <= MOST_BAD else 0.05
    look = ": look at them before raising it" if bad > MOST_BAD else ""
    notes["contract.quarantine_budget"] = f"At most {percent(bad)} of the data break a rule{look}."
    notes["contract.duplicate_budget"] = f"{percent(repeated)} of the data are duplicates."
    about = "About " if seen.estimated else ""
    notes["contract.conflicting_labels"] = f"{about}{counted(seen.conflicts, 'row')} of the data."
    notes["contract.max_age_hours"] = "null: not asked; 48 suits a feed that grows daily."
    return {
        "suite": f"{bare.name}.suite.json",
        "labels": sorted(name for name, _, _ in seen.classes),
        "min_rows": min(100, half) if grows else half,
        "min_rows_per_class": max(1, min(5, seen.rarest // 2)),
        "max_length": max(50, 2 * seen.lengths["max"]),
        "quarantine_budget": budget,
        "duplicate_budget": max(0.3, min(0.95, round(repeated + 0.2, 2))),
    }


def _preprocessing(
    bare: Pipeline, seen: Profile, frame: pd.DataFrame, notes: dict[str, str]
) -> dict[str, Any]:
    p99, longest = seen.lengths["p99"], seen.lengths["max"]
    if bare.kind == "numeric":
        notes["preprocessing.cleaning"] = "Of text only."
        notes["preprocessing.tokenizer"] = "Of text only."
        most = longest if longest <= 1.5 * p99 else p99
        notes["preprocessing.max_length"] = f"99 % of the series have at most {p99:,} steps."
        return {"cleaning": [], "max_length": max(1, most)}
    notes["preprocessing.scaling"] = "Not of text."
    notes["preprocessing.max_length"] = (
        f"99 % of the texts have at most {p99:,} words, and punctuation counts too."
    )
    steps = ["lowercase", "links", "user_names", "numbers"]
    if frame["text"].str.contains(r"&(?:amp|lt|gt|quot|#\d+);", na=False).mean() >= 0.01:
        steps.insert(0, "entities")
        notes["preprocessing.cleaning"] = "entities, because some texts hold &amp; and its like."
    notes["preprocessing.tokenizer"] = "Words unseen in training are known by their n-grams."
    notes["preprocessing.vectors"] = (
        "Learnt from source.unlabelled too: words used alike have like vectors."
        if bare.source.unlabelled
        else "Pays with source.unlabelled: many texts of this kind, without labels."
    )
    return {
        "cleaning": steps,
        "tokenizer": "word_ngrams",
        "vectors": VECTORS if bare.source.unlabelled else 0,
        "max_length": min(LONGEST, 8 * math.ceil(1.3 * max(p99, 1) / 8)),
    }


def _split(bare: Pipeline, seen: Profile, notes: dict[str, str]) -> dict[str, Any]:
    near: dict[str, Any] = {}
    if seen.rows > COMPARED:
        near["near_duplicates"] = 1.0
        notes["split.near_duplicates"] = "Rows are many: near copies would be sought in memory."
    if bare.columns.split:
        notes["split.by"] = "The official split; validation is carved from train where it has none."
        notes["split.test"] = "Not used: the column says."
        return {"by": "column", **near}
    wanted = LEAST_JUDGED / max(seen.rarest, 1)
    validation, test = min(0.2, max(0.15, wanted)), min(0.25, max(0.2, wanted))
    name = seen.classes[-1][0]
    notes["split.test"] = (
        f"About {test * seen.rarest:.0f} of the {seen.rarest:,} rows of {name!r}, the rarest class."
    )
    return {"by": "hash", "validation": _up(validation), "test": _up(test), **near}


def _up(share: float) -> float:
    return math.ceil(1000 * round(share, 6)) / 1000


def _training(
    bare: Pipeline, seen: Profile, frame: pd.DataFrame, notes: dict[str, str]
) -> dict[str, Any]:
    """Small sets get small batches and more passes, all counted in updates."""
    train, _ = _learnt_from(seen, frame)
    batch = next(size for most, size in BATCHES if train <= most)
    per_epoch = max(1, math.ceil(train / batch))
    least, epochs = UPDATES[bare.kind], EPOCHS[-1]
    if bare.kind == "text":
        epochs = min(EPOCHS[-1], max(EPOCHS[0], math.ceil(least / per_epoch)))
        least = 500
        notes["training.label_smoothing"] = "Keeps a model from being too sure of few examples."
    notes["training.batch_size"] = f"About {train:,} rows train: {per_epoch:,} updates a pass."
    notes["training.epochs"] = f"About {max(least, epochs * per_epoch):,} updates in all."
    notes["training.patience"] = "All epochs: the last ones, with the smallest steps, count most."
    notes["training.weight_averaging"] = "The mean of the last weights errs less than the last."
    return {
        "batch_size": batch,
        "epochs": epochs,
        "min_updates": least,
        "patience": epochs,
        "label_smoothing": 0.1 if bare.kind == "text" else 0.0,
        "weight_averaging": 0.99,
    }


def _learnt_from(seen: Profile, frame: pd.DataFrame) -> tuple[int, list[int]]:
    """About how many rows train, and how many rows, or groups, of each class, the largest first."""
    share, train = seen.rows / len(frame), frame[frame["label"].notna()]
    if "split" in train:
        train = train[train["split"] == "train"]
    else:
        share *= 0.65
    kept_together = train.drop_duplicates(["label", "group"]) if "group" in train else train
    sizes = kept_together["label"].value_counts()
    return int(share * len(train)), [int(share * size) for size in sizes]


def _folds(seen: Profile, frame: pd.DataFrame, notes: dict[str, str]) -> dict[str, Any]:
    train, sizes = _learnt_from(seen, frame)
    largest, second = [*sizes, 0, 0][:2]
    if train > FOLDED_ROWS:
        notes["folds"] = "The validation rows are many enough to choose by."
        return {}
    if largest < FOLDS or second < LEAST_FOLDED:
        notes["folds"] = (
            f"Too few rows, or groups, for folds: about {largest} and {second} of the two largest "
            "classes."
        )
        return {}
    notes["folds"] = "Few rows: what chooses between candidates is measured on all of them."
    notes["fold_ensemble"] = "The mean of the fold models errs less than one model of few rows."
    return {"folds": FOLDS, "fold_ensemble": True}


def _stride(bare: Pipeline, longest: int) -> int:
    """Steps that an LSTM should read as one, so that an update of long rows stays affordable."""
    return math.ceil(longest / READ) if longest > READ_WHOLE[bare.kind] else 1


def _candidates(
    kind: str, seen: Profile, stride: int, notes: dict[str, str]
) -> list[dict[str, Any]]:
    def reading(name: str) -> Any:
        return {"name": name, "options": {"stride": stride}} if stride > 1 else name

    found: list[dict[str, Any]] = [
        {"name": "floor", "architecture": "averaged_embeddings"},
        {"name": "blend", "architecture": reading("blend")},
        {"name": "attention", "architecture": reading("lstm_attention")},
    ]
    notes["candidates.0.name"] = "What every other candidate must beat."
    if stride > 1:
        notes["candidates.1.architecture"] = (
            f"Rows are long: LSTMs read the means of {stride} steps, which costs them a "
            f"{stride}th of the time; what is solved for reads every step."
        )
    if seen.skew >= SKEWED:
        balanced = {"architecture": reading("blend"), "resampling": "class_weights"}
        found[2] = {"name": "blend-weighted", **balanced}
        notes["candidates.2.resampling"] = (
            f"The largest class has {seen.skew:.0f} times the rows of the smallest; validation "
            "says whether weights help."
        )
    if kind == "numeric":
        notes[f"candidates.{len(found)}.architecture"] = (
            "Random convolutions alone, solved for in seconds; of few rows often the best."
        )
        found.append({"name": "linear", "architecture": "linear"})
    notes[f"candidates.{len(found)}.architecture"] = (
        "The mean of those others that answer best together; nothing more is trained."
    )
    found.append({"name": "ensemble", "architecture": ENSEMBLE})
    return found
