"""Batch scoring, end to end: from a file on disk to parts with their marks, rows per second.

`python -m benchmarks.batch_scoring [--rows N] [--formats csv,parquet,jsonl]` makes a home of its
own with an untrained model in Production (weights do not change the speed), writes the generated
tickets (about 20 words each) in each format, and scores them through the stage that the command
and the deployment run: read, clean, encode, forward pass, write, digest. Beside it stands the
bare forward pass over the same rows, encoded beforehand: what is left to gain. Importing and
loading (once a job) is told apart. The load average says what else the machine was doing.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

MODELS = {
    "averaged_embeddings": {"name": "averaged_embeddings"},
    "lstm_attention 32": {"name": "lstm_attention", "options": {"units": 32}},
    "bidirectional_lstm 48": {"name": "bidirectional_lstm", "options": {"units": 48}},
}


@dataclass(frozen=True)
class Told:
    """One line of the table."""

    model: str
    source: str
    rows: int
    rate: float
    cpu: float
    megabytes: float
    load: float


def tickets(rows: int):
    """Generated tickets as a frame of id and text; days repeat under new ids."""
    import pandas as pd

    from tasks.datasets.synthetic import read_synthetic

    table = read_synthetic(None, days=150, end="2026-03-01")
    frame = table.select(["text"]).to_pandas().dropna()
    frame = pd.concat([frame] * (rows // len(frame) + 1), ignore_index=True).iloc[:rows]
    return frame.assign(ticket_id=[f"t{number}" for number in range(len(frame))])


def write(frame, folder: Path, kind: str) -> Path:
    """The frame as a file of a format."""
    path = folder / f"rows.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


def pipeline_of(choice):
    """A pipeline of tickets whose only candidate is this architecture."""
    from tasks.config import Pipeline

    return Pipeline.model_validate(
        {
            "name": "speed",
            "source": {"reader": "synthetic"},
            "columns": {"id": "ticket_id", "label": "topic", "text": "text"},
            "preprocessing": {"max_length": 64},
            "candidates": [{"name": "one", "architecture": choice}],
        }
    )


def in_production(pipeline, frame):
    """An untrained model of the pipeline's first candidate, promoted; returns the classifier."""
    from datetime import UTC, datetime

    from infra.settings import Settings
    from model_registry.asking import Asked, Judged
    from model_registry.runs import Runs
    from model_registry.store import Registry
    from tasks.architectures import ARCHITECTURES
    from tasks.config import resolve
    from tasks.inference.classifier import SequenceClassifier
    from tasks.inference.runtime import served_model
    from tasks.promotions import open_promotions
    from tasks.sequences.preprocessor import fit_preprocessor

    settings = Settings()
    preprocessor = fit_preprocessor("text", pipeline.preprocessing, frame)
    build = resolve(ARCHITECTURES, pipeline.candidates[0].architecture, "architecture")
    classes = ("billing", "delivery", "login", "returns", "technical")
    classifier = SequenceClassifier(preprocessor, build(preprocessor.spec, len(classes)), classes)
    bundle = settings.work / "bundle"
    settings_of = pipeline.model_dump(mode="json")
    golden = frame.iloc[:8]
    classifier.save(bundle, pipeline=settings_of, golden=golden, key=settings.signing_key)
    run_id = Runs(settings.mlflow_uri, pipeline.name).start("speed")
    served = served_model(bundle, settings.work / "code")
    registry = Registry(settings.mlflow_uri)
    version = registry.register(pipeline.name, bundle, served, run_id=run_id, tags={})
    promotions = open_promotions(pipeline, settings)
    judged = Judged(version.version, version.digest, promotions.state().champion)
    promotions.promote(judged, Asked("speed", "speed", "to measure", datetime.now(UTC)))
    return classifier


def measured(model: str, source: str, rows: int, run) -> Told:
    """Time and CPU of a call that returns rows per second, or None for all of its time."""
    began, cpu = time.perf_counter(), time.process_time()
    rate = run()
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Told(model, source, rows, rate or rows / spent, cpu / spent, peak, os.getloadavg()[0])


def measure(model: str, rows: int, formats: list[str]) -> list[Told]:
    """The bare forward pass, then a batch of each format."""
    from tasks.score import score_batch

    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # as the stage does, before Keras is imported
    folder = Path(tempfile.mkdtemp(prefix="nocturne-speed-"))
    os.environ["NOCTURNE_HOME"] = str(folder / "home")
    frame = tickets(rows)
    pipeline = pipeline_of(MODELS[model])
    classifier = in_production(pipeline, frame.iloc[:20_000])
    inputs = classifier.preprocessor.encode(frame)
    classifier.answer(inputs)  # compiles each shape once
    told = [measured(model, "bare forward pass", rows, lambda: classifier.answer(inputs) is None)]
    for kind in formats:
        path = write(frame, folder, kind)

        def run(path=path, kind=kind):
            out = str(folder / f"out-{kind}")
            return score_batch.fn(pipeline, str(path), out, date(2026, 3, 1)).rows_per_second

        told.append(measured(model, kind, rows, run))
    return told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="batch_scoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--formats", default="csv,parquet,jsonl")
    parser.add_argument("--models", default=",".join(MODELS))
    asked = parser.parse_args()
    columns = ("model", "from", "rows", "rows/s", "rows/CPU second", "peak MB", "load")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for model in asked.models.split(","):
        for one in measure(model, asked.rows, asked.formats.split(",")):
            print(
                f"| {one.model} | {one.source} | {one.rows:,} | {one.rate:,.0f} "
                f"| {one.rate / one.cpu:,.0f} | {one.megabytes:,.0f} | {one.load:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
