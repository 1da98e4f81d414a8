"""Requests a second: `nocturne serve`, `mlflow models serve` and the bare forward pass.

    python -m benchmarks.serving [--seconds 8] [--connections 1,16,64] [--workers 1]

One run: the same model (bidirectional LSTM of 48 units over generated support tickets), the same
rows, the same client (`benchmarks.load`, a process of its own on the same cores). *Bare* is the
forward pass alone, in batches as large as there are connections, over rows that are encoded
already: Keras' own compiled `predict_on_batch`, and the graph that the server runs. The load
average stands beside each figure; with foreign load the figures are a floor. Writes
`benchmarks/SERVING.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

from infra.settings import Settings
from model_registry.asking import Asked, Judged
from model_registry.runs import Runs
from model_registry.state import Champion
from model_registry.store import Registry
from serving.compiling import make_ready
from serving.engine import Engine, groups, load
from serving.places import Places
from tasks.inference.classifier import SequenceClassifier
from tasks.inference.runtime import served_model
from tasks.pipeline_file import load_pipeline
from tasks.promotions import open_promotions
from tasks.sequences.bucketing import bucket_length
from tests.servers import free_port, running

CONF = Path("conf/support_tickets.yaml")
PAGE = Path(__file__).with_name("SERVING.md")
DAY = date(2026, 3, 1)
ROWS = 4_000
BARE_SECONDS = 3.0
FOREIGN_LOAD = 0.5


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    counts = [int(count) for count in asked.connections.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NOCTURNE_HOME"] = str(Path(folder).resolve())
        os.environ["NOCTURNE_SERVE_AS_ROOT"] = "1"  # on loopback, over a folder of its own
        bench = Bench(Path(folder).resolve(), asked.seconds, counts)
        rows = []
        for row in chain(bench.bare(), bench.ours(asked.workers), bench.mlflow()):
            rows.append(row)
            print(f"{row['way']}, {row['connections']}: {row['requests_per_second']:.0f}/s")
    text = page(rows)
    print(text)
    PAGE.write_text(text, "utf-8")


class Bench:
    """One registered version, and ways to ask it.

    Args:
        folder: A home of its own.
        seconds: Of each measurement.
        counts: Connections.
    """

    def __init__(self, folder: Path, seconds: float, counts: list[int]) -> None:
        self.folder, self.seconds, self.counts = folder, seconds, counts
        self.settings = Settings()
        self.pipeline = load_pipeline(CONF)
        self.classifier, self.texts = trained(self.pipeline)
        self.champion, self.source = self._registered()
        self.bodies = folder / "bodies.json"
        column = self.pipeline.columns.text
        sent = [json.dumps({"dataframe_records": [{column: text}]}) for text in self.texts]
        self.bodies.write_text(json.dumps(sent), "utf-8")

    def bare(self) -> list[dict[str, Any]]:
        """The forward pass alone: Keras', and the server's."""
        engine = self._engine()
        keras = self.classifier.model.predict_on_batch
        ways = {"bare, Keras": keras, "bare, ONNX": engine.forward}
        return [
            {"way": way, "connections": count, **alone(forward, engine, self.texts, count)}
            for way, forward in ways.items()
            for count in self.counts
        ]

    def ours(self, workers: int) -> Iterator[dict[str, Any]]:
        """`nocturne serve`."""
        port = free_port()
        command = ["flows.cli", "serve", str(CONF), "--port", str(port), "--workers", str(workers)]
        with self._server(command, f"http://127.0.0.1:{port}/ping", "ours.log") as process:
            yield from self._asked("nocturne serve", port, process)

    def mlflow(self) -> Iterator[dict[str, Any]]:
        """`mlflow models serve` over the same version, in this environment."""
        port = free_port()
        command = ["mlflow", "models", "serve", "-m", self.source, "--env-manager", "local"]
        command += ["--port", str(port), "--host", "127.0.0.1", "--workers", "1"]
        with self._server(command, f"http://127.0.0.1:{port}/ping", "mlflow.log") as process:
            yield from self._asked("mlflow models serve", port, process)

    def _asked(self, way: str, port: int, process: Any) -> Iterator[dict[str, Any]]:
        command = [sys.executable, "-m", "benchmarks.load", str(port), "/invocations"]
        for count in self.counts:
            for seconds in (1.0, self.seconds):  # the first is a warm-up
                asked = [*command, str(self.bodies), str(count), str(seconds)]
                done = subprocess.run(asked, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            assert set(found["statuses"]) == {"200"}, found
            yield {"way": way, "connections": count, **found, **burden(process.pid)}

    @contextmanager
    def _server(self, command: list[str], health: str, name: str) -> Iterator[Any]:
        commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": commands}  # where MLflow looks for uvicorn
        with running(command, health, self.folder / name, environment=environment) as process:
            until_ready(health)
            yield process

    def _engine(self) -> Engine:
        places = Places(self.settings.work / self.pipeline.name / "serving")
        make_ready(self.pipeline.name, self.champion, places.folder, self.settings)
        paths = places.bundle(self.champion), places.compiled(self.champion)
        key = self.settings.signing_key.with_suffix(".key.pub")
        key = key if key.exists() else self.settings.signing_key.with_suffix(".pub")
        engine = load(self.champion.version, self.champion.digest, *paths, key)
        engine.warm()
        return engine

    def _registered(self) -> tuple[Champion, str]:
        import pandas as pd

        directory = self.folder / "bundle"
        golden = pd.DataFrame({"text": pd.Series(self.texts[:32], dtype="str")})
        content = self.pipeline.model_dump(mode="json")
        key = self.settings.signing_key
        self.classifier.save(directory, pipeline=content, golden=golden, key=key)
        served = served_model(directory, self.folder / "code")
        self.classifier = SequenceClassifier.load(directory)  # as anybody would
        run = Runs(self.settings.mlflow_uri, self.pipeline.name).start("night")
        registry = Registry(self.settings.mlflow_uri)
        version = registry.register(self.pipeline.name, directory, served, run_id=run, tags={})
        asked = Asked("benchmark", "benchmark", "to be measured", datetime.now(UTC))
        judged = Judged(version.version, str(version.digest), None)
        open_promotions(self.pipeline, self.settings).promote(judged, asked)
        return Champion(version.version, str(version.digest), 1), version.source


def trained(pipeline: Any) -> tuple[SequenceClassifier, list[str]]:
    """The model, fitted for one epoch so that it is no noise, and texts to ask about."""
    from tasks.architectures import ARCHITECTURES
    from tasks.config import resolve
    from tasks.datasets.reading import read
    from tasks.sequences.preprocessor import fit_preprocessor

    rows = read(pipeline, DAY).dropna(subset=["text", "label"])
    rows = rows[rows["text"].str.strip() != ""].iloc[:ROWS].reset_index(drop=True)
    classes = sorted(rows["label"].unique())
    preprocessor = fit_preprocessor("text", pipeline.preprocessing, rows)
    candidate = next(one for one in pipeline.candidates if one.name == "bilstm")
    build = resolve(ARCHITECTURES, candidate.architecture, "architecture")
    model = build(preprocessor.spec, len(classes))
    truth = np.array([classes.index(label) for label in rows["label"]], np.int32)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(preprocessor.encode(rows).padded(64), truth, batch_size=128, verbose=0)
    return SequenceClassifier(preprocessor, model, classes), rows["text"].tolist()


def alone(
    forward: Callable[[Any], Any], engine: Engine, texts: list[str], size: int
) -> dict[str, Any]:
    """Rows a second of a forward pass over batches of so many rows, cut as the server cuts them."""
    inputs = [
        engine.preprocessor.encode({"text": texts[at : at + size]})  # type: ignore[arg-type]
        for at in range(0, min(len(texts) - size, 40 * size), size)
    ]
    flights = [[padded(each, rows) for rows in groups(each.lengths)] for each in inputs]
    for flight in flights:
        for batch in flight:
            forward(batch)
    began, rows, seconds = time.perf_counter(), 0, []
    while time.perf_counter() - began < BARE_SECONDS:
        start = time.perf_counter()
        for batch in flights[len(seconds) % len(flights)]:
            forward(batch)
        seconds.append(time.perf_counter() - start)
        rows += size
    p50, p99 = 1000 * np.percentile(seconds, [50, 99])
    rate = rows / (time.perf_counter() - began)
    return {"requests_per_second": rate, "p50_ms": p50, "p99_ms": p99, **burden(os.getpid())}


def padded(inputs: Any, rows: Any) -> Any:
    """Some rows as the batch that the server would make of them."""
    return inputs.take(rows).padded(bucket_length(int(inputs.lengths[rows].max())))


def burden(process: int) -> dict[str, float]:
    """Memory of a process and its children in MB, and the machine's load average."""
    family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    memory = sum(one.memory_info().rss for one in family if one.is_running())
    return {"rss_mb": memory / 1e6, "load": os.getloadavg()[0]}


def until_ready(health: str) -> None:
    """Wait until the ping is 200."""
    import urllib.request
    from contextlib import suppress

    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(health, timeout=5):
            return
        time.sleep(0.3)
    raise AssertionError(f"{health} never became ready")


def page(rows: list[dict[str, Any]]) -> str:
    """The table, with what is worth saying about it."""
    by = {(row["way"], row["connections"]): row["requests_per_second"] for row in rows}
    lines = []
    for row in rows:
        count, rate = row["connections"], row["requests_per_second"]
        shares = [rate / by[f"bare, {name}", count] for name in ("Keras", "ONNX")]
        times = rate / by["mlflow models serve", count]
        cells = [row["way"], str(count), f"{rate:,.0f}", f"{row['p50_ms']:.1f}"]
        cells += [f"{row['p99_ms']:.1f}", f"{times:.1f}", *(f"{share:.0%}" for share in shares)]
        cells += [f"{row['rss_mb']:.0f}", f"{row['load']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    head = (
        "| way | connections | requests/s | p50 ms | p99 ms | × MLflow | of bare Keras | "
        "of bare ONNX | RSS MB | load |"
    )
    rule = "|---|" + "---:|" * 9
    said = __doc__.partition("\n\n")[2].partition("One run: ")[2] if __doc__ else ""
    made = f"Written by `python -m benchmarks.serving` on {os.cpu_count()} cores."
    said = "One run: " + " ".join(said.split())
    return "\n".join(["# Serving, measured", "", made, said, void(rows), head, rule, *lines, ""])


def void(rows: list[dict[str, Any]]) -> str:
    """Whether other work ran beside the run, so that its figures are a floor at best."""
    load, cores = max(row["load"] for row in rows), os.cpu_count() or 1
    if load <= cores + FOREIGN_LOAD:
        return ""
    return f"\n**Void**: load {load:.1f} on {cores} cores, so other work ran beside it.\n"


if __name__ == "__main__":
    main()
