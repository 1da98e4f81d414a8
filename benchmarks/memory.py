"""Peak memory of init, ingest, validate, prepare and score by rows, and what 100 million need.

    python -m benchmarks.memory --rows 100000 300000 1000000 [--folder DIR] [--stages NAME ...]
    python -m benchmarks.memory --page

Generates short texts as Parquet (once a size, in `--folder`, where what a stage wrote is deleted
again), runs each stage in a process of its own, prints its peak resident memory above that of the
imports, and appends it to `benchmarks/memory.jsonl`. `--page` measures nothing: it writes the
table, the plan for 100 million rows and the picture into `benchmarks/MEMORY.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet

RESULTS = Path(__file__).with_name("memory.jsonl")
STAGES = ("init", "ingest", "validate", "prepare", "score")
DAY = date(2026, 4, 8)
ROWS_A_PART = 100_000
LABELS = ("billing", "delivery", "login", "refund", "other")
PIPELINE = {
    "name": "large",
    "columns": {"id": "id", "label": "topic", "text": "body", "time": "created_at"},
    "contract": {"duplicate_budget": 0.5},
    "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
}


def main() -> None:
    """Measure every size and stage, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="for generated data; a temporary one if absent")
    parser.add_argument("--page", action="store_true", help="write benchmarks/MEMORY.md, and end")
    parser.add_argument("--near-duplicates", type=float, default=1.0, help="split.near_duplicates")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        stage(asked.stage, asked.folder, asked.near_duplicates)
        return
    if asked.page:
        from benchmarks.memory_page import write

        write([json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()])
        return
    with tempfile.TemporaryDirectory(prefix="nocturne-memory-") as scratch:
        for rows in asked.rows:
            folder = asked.folder or Path(scratch)
            of_size(rows, folder, asked.near_duplicates, asked.stages)


def of_size(rows: int, folder: Path, near_duplicates: float, stages: Sequence[str]) -> None:
    """Each stage over so many rows; what they wrote is deleted after."""
    source = folder / f"{rows}.parquet"
    if not source.exists():
        generate(source, rows)
    home = folder / f"home-{rows}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    os.link(source, home / "rows.parquet")
    for name in stages:
        options = ["--stage", name, "--folder", str(home)]
        options += ["--near-duplicates", str(near_duplicates)]
        command = [sys.executable, "-m", "benchmarks.memory", *options]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = {"stage": name, "rows": rows, "near_duplicates": near_duplicates}
        found |= {**json.loads(said.splitlines()[-1]), "load": os.getloadavg()[0]}
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(json.dumps(found) + "\n")
        print(
            f"{name:9} {rows:>11,} rows: {found['peak'] / 2**20:8,.0f} MiB above "
            f"{found['base'] / 2**20:,.0f} MiB of imports, {found['peak'] / rows:7,.0f} B a row, "
            f"{found['seconds']:7.1f} s wall, {found['cpu']:7.1f} s of processor, "
            f"load {found['load']:.1f}",
            flush=True,
        )
    shutil.rmtree(home)


def generate(path: Path, rows: int) -> None:
    """Short texts (6 to 20 words), 1 % of them said before, 0.2 % without text."""
    random = np.random.default_rng(11)
    letters = random.integers(97, 123, (60_000, 9)).astype(np.uint8)
    ends = random.integers(2, 10, len(letters))
    words = pa.array([bytes(row[:end]).decode() for row, end in zip(letters, ends, strict=True)])
    scratch = path.with_suffix(".part")
    writer = None
    for first in range(0, rows, ROWS_A_PART):
        part = _part(random, words, first, min(ROWS_A_PART, rows - first))
        writer = writer or parquet.ParquetWriter(scratch, part.schema, compression="zstd")
        writer.write_table(part)
    if writer:
        writer.close()
    scratch.rename(path)
    print(f"generated {rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB", flush=True)


def _part(random: np.random.Generator, words: pa.Array, first: int, rows: int) -> pa.Table:
    lengths = random.integers(6, 21, rows)
    ranks = np.minimum(random.zipf(1.3, lengths.sum()), len(words)) - 1
    lists = pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)), words.take(pa.array(ranks)))
    texts = pc.binary_join(lists, " ")
    again = np.arange(rows)
    copied = random.random(rows) < 0.01
    again[copied] = random.integers(0, rows, copied.sum())
    absent = random.random(rows) < 0.002
    labels = random.choice(len(LABELS), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05])[again]
    seconds = 1_773_000_000 + random.integers(0, 30 * 86_400, rows)
    return pa.table(
        {
            "id": pa.array(random.permutation(rows) + first),
            "topic": pa.array(LABELS).take(pa.array(labels)),
            "body": pc.if_else(pa.array(absent), None, texts.take(pa.array(again))),
            "created_at": pa.array(seconds * 1_000_000, pa.timestamp("us", "UTC")),
        }
    )


def stage(name: str, home: Path, near_duplicates: float) -> None:
    """Run one stage and print what it took, as JSON on the last line."""
    os.environ["NOCTURNE_HOME"] = str(home)
    run = _prepared(name, home, near_duplicates)
    base = _reset_peak()
    started, before = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    peak = _status("VmHWM") - base
    written = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    found = {"base": base, "peak": peak, "seconds": seconds, "cpu": cpu, "written": written}
    print(json.dumps(found))


def _prepared(name: str, home: Path, near_duplicates: float) -> Any:
    """The stage as a function of nothing, everything that it imports imported."""
    from infra.storage import LocalStorage
    from tasks.config import Pipeline
    from tasks.references import Snapshot

    reader = {"name": "parquet", "options": {"path": str(home / "rows.parquet")}}
    split = {"near_duplicates": near_duplicates}
    pipeline = Pipeline.model_validate({**PIPELINE, "source": {"reader": reader}, "split": split})
    storage = LocalStorage(home / "store")
    handed = home / "handed.json"
    if name == "init":
        return _drafting(home)
    if name == "score":
        return _scoring(pipeline, home)
    _warm(name, home)

    def run() -> None:
        if name == "ingest":
            from tasks.datasets.intake import take_in

            handed.write_text(take_in(pipeline, DAY, storage).model_dump_json())
            return
        snapshot = Snapshot.model_validate_json(handed.read_text())
        if name == "prepare":
            from tasks.prepare import prepared_in

            prepared_in(home / "prepared", pipeline, snapshot, storage)
            return
        from tasks.validate import judge

        now = datetime.now(UTC)
        said = judge(pipeline, snapshot, DAY, storage=storage, docs=home / "docs", now=now)
        if said.clean is None:
            raise SystemExit(said.reason)
        handed.write_text(said.clean.model_dump_json())

    return run


def _drafting(home: Path) -> Any:
    """`nocturne init` over all rows, without the command line."""
    from tasks.datasets.drafting import Options, initialise

    few = home / "few.parquet"
    parquet.write_table(parquet.ParquetFile(home / "rows.parquet").read_row_group(0)[:1000], few)
    initialise(Options(few))  # imports what it needs
    return lambda: initialise(Options(home / "rows.parquet"))


def _scoring(pipeline: Any, home: Path) -> Any:
    """A batch of all rows by an untrained model in Production, loaded before."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # as the stage does, before Keras is imported
    from benchmarks.batch_scoring import in_production

    table = parquet.ParquetFile(home / "rows.parquet").read_row_group(0)
    few = table.drop_null().rename_columns(["ticket_id", "topic", "text", "time"]).to_pandas()
    in_production(pipeline, few[:20_000])
    from tasks.score import score_batch

    out, rows = str(home / "out"), str(home / "rows.parquet")
    return lambda: score_batch.fn(pipeline, rows, out, DAY)


def _warm(name: str, home: Path) -> None:
    """Import what the stage imports, by a run over nothing much."""
    import pandas as pd

    from expectations.suites import evaluate, great_expectations
    from tasks import prepare, validate  # noqa: F401
    from tasks.datasets import intake  # noqa: F401
    from tasks.datasets.near_duplicates import copies
    from tasks.sequences import preprocessor  # noqa: F401

    few = pd.DataFrame({"text": pd.Series(["a b c d e"], dtype="str")})
    copies(few, few, 0.8)
    if name == "validate":
        great_expectations()
        asked = {"type": "expect_column_to_exist", "kwargs": {"column": "text"}}
        evaluate(few, [{**asked, "severity": "info", "meta": {}}], "warm")


def _reset_peak() -> int:
    """Forget the peak so far; the resident bytes now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


if __name__ == "__main__":
    main()
