"""A small night up to its evaluation: rows, labels and answers drawn from a seed, on disk."""

import json

import numpy as np
import pandas as pd

from tasks.config import Pipeline
from tasks.ragged import Examples, Ragged
from tasks.references import (
    Finding,
    GateResult,
    Night,
    Prepared,
    Snapshot,
    Trained,
    Validated,
    Verdict,
)

CLASSES = ("billing", "login", "refund")
SHARES = (0.6, 0.3, 0.1)
ROWS = {"train": 400, "validation": 240, "test": 300}


def pipeline(*names, classes_text="a night for tests", **evaluation):
    candidates = [{"name": name, "architecture": "averaged_embeddings"} for name in names]
    settings = {"bootstrap_samples": 200, "slices": ["channel"], **evaluation}
    return Pipeline.model_validate(
        {
            "name": "tickets",
            "description": classes_text,
            "source": {"reader": "synthetic"},
            "columns": {"label": "topic", "text": "text", "time": "created_at"},
            "candidates": candidates,
            "evaluation": settings,
        }
    )


def labels(split):
    rng = np.random.default_rng(list(ROWS).index(split))
    drawn = rng.choice(len(CLASSES), ROWS[split], p=SHARES)
    drawn[: len(CLASSES)] = np.arange(len(CLASSES))
    return drawn


def answers(truth, strength, seed=0, classes=3):
    """Softmax probabilities that lean to the truth by `strength`."""
    logits = np.random.default_rng(seed).normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += strength
    weights = np.exp(logits)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def prepared(directory, classes=CLASSES):
    """Examples of every split and the canonical frame of the test rows."""
    home = directory / "prepared" / "1f1f"
    for split, rows in ROWS.items():
        row_ids = np.array([f"{split}-{row}" for row in range(rows)])
        inputs = Ragged.of([np.arange(1, 4, dtype=np.int32)] * rows)
        Examples(inputs, labels(split).astype(np.int32), row_ids).save(home / split)
        said = pd.DataFrame({"row_id": row_ids, "text": [f"text {row}" for row in range(rows)]})
        said.to_parquet(home / f"rows_{split}.parquet", index=False)
    held_out_rows(classes).to_parquet(home / "rows_test.parquet", index=False)
    return Prepared(
        directory=str(home),
        classes=classes,
        train_rows=ROWS["train"],
        validation_rows=ROWS["validation"],
        test_rows=ROWS["test"],
        near_duplicates=7,
        test_digest="5d" * 32,
    )


def held_out_rows(classes=CLASSES):
    rng, rows = np.random.default_rng(9), ROWS["test"]
    minutes = pd.to_timedelta(rng.integers(0, 90 * 24 * 60, rows), unit="min")
    times = pd.Series(pd.Timestamp("2026-01-01", tz="UTC") + minutes)
    return pd.DataFrame(
        {
            "row_id": [f"test-{row}" for row in range(rows)],
            "label": [classes[label] for label in labels("test")],
            "text": [" ".join(["word"] * count) for count in rng.integers(1, 30, rows)],
            "time": times.astype("datetime64[us, UTC]"),
            "channel": rng.choice(["chat", "e-mail", None], rows, p=[0.3, 0.6, 0.1]),
        }
    )


def candidate(directory, name, validation, test, *, parameters=1_000, classes=CLASSES, **facts):
    """A finished candidate that leans to the truth by `validation` and by `test`."""
    home = directory / "candidates" / name
    home.mkdir(parents=True)
    np.save(home / "validation_probabilities.npy", answers(labels("validation"), validation))
    np.save(home / "golden_probabilities.npy", answers(labels("validation"), validation))
    np.save(home / "test_probabilities.npy", answers(labels("test"), test, seed=1))
    epochs = [{"loss": 1 / epoch, "validation_macro_f1": 1 - 1 / epoch} for epoch in (1, 2, 3)]
    (home / "history.json").write_text(json.dumps(epochs))
    counts = np.bincount(labels("train"), minlength=len(classes)).tolist()
    return Trained(
        name=name,
        directory=str(home),
        parameters=parameters,
        epochs=3,
        seconds=1.5,
        class_counts={
            each: (rows, max(counts)) for each, rows in zip(classes, counts, strict=True)
        },
        **facts,
    )


def champion(directory, strength, unknown=None):
    """Path of the champion's answers; `unknown` is a class it was never trained on."""
    given = answers(labels("test"), strength, seed=2)
    if unknown is not None:
        given[:, unknown] = 0
        given /= given.sum(axis=1, keepdims=True)
        given[:, unknown] = np.nan
    path = directory / "champion.npy"
    np.save(path, given)
    return str(path)


def night(trained=(), outcome="promoted", **facts):
    gates = (
        GateResult(gate="finite", passed=True, sentence="All 900 probabilities are finite."),
        GateResult(
            gate="beats_champion",
            passed=outcome == "promoted",
            sentence="By 0.05.",
            failing=None if outcome == "promoted" else "unsure",
        ),
    )
    told = {
        "reason": "macro-F1 0.81 against 0.76 of version 6 on the same 300 rows",
        "version": "7",
        "stage": "Production",
        "champion_before": "6",
        "champion_after": "7",
        "run_id": "0123abcd",
        "seconds": {"prepare": 1.0, "train": 9.5},
        "verdict": Verdict(
            promote=outcome == "promoted",
            verdict="better" if outcome == "promoted" else "not enough evidence",
            reason="all passed",
            gates=gates,
            more_rows=0 if outcome == "promoted" else 5_400,
        ),
        **facts,
    }
    return Night(
        pipeline="tickets",
        logical_date="2026-04-01",
        outcome=outcome,
        candidates=tuple(trained),
        **told,
    )


def data(classes=CLASSES):
    """What the report is told of the data, as keyword arguments."""
    finding = Finding(
        rule=f"label in [{', '.join(classes)}]",
        severity="warning",
        rows=3,
        message="label: must be one of the classes, got 'biling' in 3 rows; correct the source",
        examples=("biling",),
    )
    return {
        "snapshot": Snapshot(
            key="snapshots/tickets/1.parquet", digest="1f" * 32, rows=943, new_rows=40, duplicates=5
        ),
        "validated": Validated(
            accepted=True,
            reason="3 of 943 rows went to quarantine; the budget is 5 %.",
            clean=None,
            quarantined=3,
            findings=(finding,),
        ),
        "versions": {"keras": "3.15.1"},
    }
