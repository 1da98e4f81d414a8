"""Small nights, really prepared and trained, up to where the registry begins."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from tasks.config import Pipeline
from tasks.references import Evaluation, Prepared, Trained

DAY = date(2026, 3, 1)
TRAINING = {"epochs": 2, "min_updates": 0, "batch_size": 32, "learning_rate": 0.01}
TEXT = {
    "name": "small_text",
    "columns": {"id": "ticket", "label": "topic", "text": "body"},
    "candidates": [
        {
            "name": "lstm",
            "architecture": {
                "name": "bidirectional_lstm",
                "options": {"units": 8, "embedding": 8},
            },
        }
    ],
}
NUMERIC = {
    "name": "small_numeric",
    "columns": {"id": "ticket", "label": "topic", "sequence": ["left", "right"]},
    "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
}
WORDS = {"no": ("slow", "broken", "late"), "yes": ("great", "fast", "thanks")}


@dataclass(frozen=True)
class SmallNight:
    """What a night has made when it comes to `register`."""

    pipeline: Pipeline
    rows: Path
    prepared: Prepared
    trained: tuple[Trained, ...]
    evaluation: Evaluation


def small_night(folder, content, count=240):
    """Write rows, then ingest, prepare, train and evaluate them; NOCTURNE_HOME must be set."""
    from tasks.evaluate import evaluate
    from tasks.ingest import ingest
    from tasks.prepare import prepare
    from tasks.train import train

    rows = folder / "rows.jsonl"
    made = texts if "text" in content["columns"] else waves
    rows.write_text("\n".join(json.dumps(row) for row in made(count)) + "\n")
    reader = {"name": "jsonl", "options": {"path": str(rows)}}
    pipeline = Pipeline.model_validate(
        {
            **content,
            "source": {"reader": reader},
            "training": TRAINING,
            "evaluation": {"bootstrap_samples": 100},
            "split": {"near_duplicates": 1.0},
        }
    )
    prepared = prepare.fn(pipeline, ingest.fn(pipeline, DAY))
    trained = train.fn(pipeline, prepared)
    return SmallNight(pipeline, rows, prepared, trained, evaluate.fn(pipeline, prepared, trained))


def texts(count):
    """Tickets whose words tell the topic, nearly."""
    rng = np.random.default_rng(5)
    for number in range(count):
        topic = "yes" if rng.random() < 0.4 else "no"
        words = rng.choice(WORDS[topic], 4).tolist() + rng.choice(("the", "it", "my"), 5).tolist()
        body = f"{' '.join(rng.permutation(words))} no{number}"
        yield {"ticket": f"t{number}", "topic": topic, "body": body}


def waves(count):
    """Two channels, of unequal length, some values missing; the trend tells the topic."""
    rng = np.random.default_rng(5)
    for number in range(count):
        topic = "up" if rng.random() < 0.5 else "down"
        steps = rng.integers(4, 20)
        trend = np.linspace(0, 2 if topic == "up" else -2, steps)
        channels = {
            name: [None if rng.random() < 0.05 else float(value) for value in line]
            for name, line in zip(
                ("left", "right"), trend + rng.normal(size=(2, steps)), strict=True
            )
        }
        yield {"ticket": f"s{number}", "topic": topic, **channels}
