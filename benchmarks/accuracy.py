"""What the promoted model reaches on real data, with `nocturne init` and `nocturne retrain` alone.

    NOCTURNE_REAL_DATA=DIR python -m benchmarks.accuracy [--seeds 3] [--only NAME ...]

Each dataset and seed gets a home of its own, so that every night is a first night. Linear models
(`benchmarks.linear_models`) are fitted beside the first seed on the same rows. Results are kept as
they come in `--out`, so a run that was stopped continues where it was; `--again` begins anew. At
the end the table between the marks in `benchmarks/ACCURACY.md` is written.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.linear_models import linear_models
from benchmarks.pages import fill

PAGE = Path(__file__).with_name("ACCURACY.md")
RESULTS = PAGE.with_name("accuracy.jsonl")
FASTTEXT = PAGE.with_name("fasttext.jsonl")  # what `benchmarks.fasttext_models` found


@dataclass(frozen=True)
class Dataset:
    """One labelled set: its flags for `nocturne init`, and what others reached on it.

    Attributes:
        flags: After `nocturne init DATA`.
        metric: The metric the field quotes for it.
        article: Best of the article's three models, metric and macro-F1.
        published: Rows of the field's tables that use no pretraining.
        files: Rows, and for series stored one step a row the labels beside them.
        folder: Where they are, if not under its own name.
        change: One line of the drafted pipeline file and what it is changed to.
        tweets: Whether `--unlabelled` names the tweets without labels beside it.
    """

    flags: tuple[str, ...]
    metric: str
    article: tuple[float, float]
    published: str
    files: tuple[str, ...] = ("data.csv",)
    folder: str = ""
    change: tuple[str, str] | None = None
    tweets: bool = False


TEXT = ("--label", "label", "--text", "text", "--id", "id")
SERIES = ("--label", "label", "--sequence", "--id", "id", "--step", "step")
STEPS = ("series.parquet", "labels.csv")
OFFICIAL = ("--split", "split")
DATASETS = {
    "tweeteval_emotion": Dataset(
        (*TEXT, *OFFICIAL),
        "macro_f1",
        (0.570, 0.570),
        "SVM .647, fastText .652, LSTM .660",
        tweets=True,
    ),
    "trec": Dataset((*TEXT, *OFFICIAL), "accuracy", (0.863, 0.847), "RNN .888, CNN .912–.918"),
    "trec_fine": Dataset(
        ("--label", "label_fine", *TEXT[2:], *OFFICIAL),
        "accuracy",
        (0.667, 0.296),
        "none authoritative",
        folder="trec",
    ),
    "airline_tweets": Dataset(
        (*TEXT,), "accuracy", (0.807, 0.749), "none authoritative", tweets=True
    ),
    "airline_by_time": Dataset(
        (*TEXT, "--time", "created_at"),
        "accuracy",
        (0.778, 0.711),
        "none authoritative",
        folder="airline_tweets",
        change=("  by: hash", "  by: time"),
        tweets=True,
    ),
    "japanese_vowels": Dataset(
        (*SERIES, *OFFICIAL),
        "accuracy",
        (0.950, 0.950),
        "LSTM-FCN .99, MLSTM-FCN 1.00",
        files=STEPS,
    ),
    "medical_images": Dataset(
        (*SERIES, *OFFICIAL),
        "accuracy",
        (0.522, 0.117),
        "LSTM-FCN .789, FCN .792",
        files=STEPS,
    ),
    "tweeteval_sentiment": Dataset(
        (*TEXT, *OFFICIAL),
        "balanced_accuracy",
        (0.598, 0.589),
        "LSTM .583, SVM .629, fastText .629",
        tweets=True,
    ),
}
LINEAR = ("SVM", "LR", "SVM with characters", "LR with characters")


def draft(name: str, dataset: Dataset, data: Path, home: Path) -> None:
    """Let `nocturne init` write the pipeline file of one dataset."""
    rows, *labels = [data / (dataset.folder or name) / file for file in dataset.files]
    flags = [*dataset.flags, "--name", name]
    for path in labels:
        flags += ["--labels", str(path)]
    if dataset.tweets:
        flags += ["--unlabelled", str(data / "tweets_unlabelled" / "data.parquet")]
    _nocturne(home, "init", str(rows), *flags)
    if dataset.change:
        _change(home / "conf" / f"{name}.yaml", *dataset.change)


def night(name: str, dataset: Dataset, seed: int, data: Path, home: Path) -> dict[str, Any]:
    """One first night of one dataset, through the command line alone."""
    draft(name, dataset, data, home)
    began = time.perf_counter()
    record = _nocturne(home, "retrain", f"conf/{name}.yaml", "--seed", str(seed), "--json")
    challenger = next(c for c in record["candidates"] if c["name"] == record["challenger"])
    sound = [each for each in record["candidates"] if not each["failed"]]
    (prepared,) = (home / ".nocturne" / "work" / name / "prepared").iterdir()
    return {
        "linear": {k: rounded(v) for k, v in linear_models(prepared).items()} if seed == 1 else {},
        "outcome": record["outcome"],
        "challenger": record["challenger"],
        "validation": rounded(challenger["validation"]),
        "test": rounded(challenger["test"]),
        "candidates": {c["name"]: rounded(c["test"]) for c in sound},
        "held_out": {c["name"]: rounded(c["out_of_fold"] or c["validation"]) for c in sound},
        "failed": {c["name"]: c["failed"] for c in record["candidates"] if c["failed"]},
        "seconds": round(time.perf_counter() - began),
        "steps": record["seconds"],
        "cost": _cost(record, home / ".nocturne" / "work" / name / "challenger"),
    }


def _cost(record: dict[str, Any], bundle: Path) -> dict[str, float]:
    """What the challenger costs: one raw row alone, and its bundle on disk."""
    gates = {gate["gate"]: gate["numbers"] for gate in record["verdict"]["gates"]}
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    return {
        "milliseconds": round(gates["fast_enough"]["milliseconds"], 1),
        "megabytes": round(size / 2**20, 1),
    }


def rounded(scores: dict[str, float]) -> dict[str, float]:
    """Scores to four places."""
    return {name: round(score, 4) for name, score in scores.items()}


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{path}: expected {old!r} once, found it {text.count(old)} times")
    path.write_text(text.replace(old, new), "utf-8")


def _nocturne(home: Path, *arguments: str) -> Any:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, or the night lives on
    command = [sys.executable, "-m", "flows.cli", *arguments]
    environment = os.environ | {"NOCTURNE_HOME": str(home / ".nocturne")}
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:
            process.terminate()  # killed, it would leave its Prefect server behind
            raise
    if process.returncode not in (0, 3):
        raise RuntimeError(f"nocturne {' '.join(arguments)} ended with {process.returncode}")
    return json.loads(said) if "--json" in arguments else None


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What earlier runs left, one JSON object a line; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def interval(values: list[float], form: str = ".3f") -> str:
    """Mean and the half-width of its 95 % interval over seeds (Student's t)."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:{form}}"
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:{form}} ± {half:{form.removeprefix('+')}}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: dataset, metric, ours over seeds, the article's best, linear models, published."""
    heads = ["dataset (official metric)", "ours, promoted", "seeds", "article's best", *LINEAR]
    heads += ["fastText", "published, not pretrained"]
    fasttext = {line["dataset"]: line["test"] for line in lines_of(FASTTEXT)}
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, dataset in DATASETS.items():
        of_set = [result for result in results if result["dataset"] == name]
        plain = next((result["linear"] for result in of_set if result["linear"]), {})
        promoted = sum(result["outcome"] == "promoted" for result in of_set)
        last = max((result["date"] for result in of_set), default="")
        cells = [
            f"{name} ({dataset.metric})",
            mean([each["test"] for each in of_set], dataset.metric) if of_set else "not run",
            f"{len(of_set)}, {promoted} promoted, {last}" if of_set else "0",
            " / ".join(f"{value:.3f}" for value in dataset.article),
            *(both(plain.get(model), dataset.metric) for model in LINEAR),
            mean(fasttext[name], dataset.metric) if name in fasttext else "–",
            dataset.published,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parts(results: list[dict[str, Any]]) -> str:
    """Markdown: every candidate of the same nights on the test rows, macro-F1 over seeds."""
    names = list(dict.fromkeys(name for each in results for name in each["candidates"]))
    lines = [f"| dataset | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name in DATASETS:
        of_set = [each["candidates"] for each in results if each["dataset"] == name]
        reached = {
            candidate: [each[candidate]["macro_f1"] for each in of_set if candidate in each]
            for candidate in names
        }
        cells = [interval(found) if found else "–" for found in reached.values()]
        if of_set:
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def costs(results: list[dict[str, Any]]) -> str:
    """Markdown: what the promoted models cost, medians over seeds, and the machine's load."""
    heads = ("dataset", "night, s", "of it training, s", "one row, ms", "bundle, MB", "load")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in DATASETS:
        of_set = [each for each in results if each["dataset"] == name and "cost" in each]
        if of_set:
            cells = (
                f"{np.median([each['seconds'] for each in of_set]):.0f}",
                f"{np.median([each['steps']['train'] for each in of_set]):.0f}",
                f"{np.median([each['cost']['milliseconds'] for each in of_set]):.0f}",
                f"{np.median([each['cost']['megabytes'] for each in of_set]):.0f}",
                f"{np.median([each['load'] for each in of_set]):.1f}",
            )
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean(scores: list[dict[str, float]], metric: str) -> str:
    """A metric and macro-F1 over seeds, as a table has them."""
    return " / ".join(interval([each[m] for each in scores]) for m in (metric, "macro_f1"))


def both(scores: dict[str, float] | None, metric: str) -> str:
    """A metric and macro-F1 of one model, as a table has them."""
    return f"{scores[metric]:.3f} / {scores['macro_f1']:.3f}" if scores else "–"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--again", action="store_true", help="forget what --only names, and run it anew"
    )
    options = parser.parse_args()
    root = os.environ.get("NOCTURNE_REAL_DATA")
    if not root:
        parser.exit(2, "set NOCTURNE_REAL_DATA to the folder that holds the datasets\n")
    results = lines_of(options.out)
    if options.again:
        results = [result for result in results if result["dataset"] not in options.only]
    have = {(result["dataset"], result["seed"]) for result in results}
    wanted = [(name, seed) for seed in range(1, options.seeds + 1) for name in options.only]
    todo = [each for each in wanted if each not in have]
    for done, (name, seed) in enumerate(todo, 1):
        print(
            f"[{done}/{len(todo)}] {name}, seed {seed}, load {os.getloadavg()[0]:.1f}", flush=True
        )
        with tempfile.TemporaryDirectory() as home:
            found = night(name, DATASETS[name], seed, Path(root), Path(home))
        load = round(os.getloadavg()[0], 1)
        results.append(
            {"dataset": name, "seed": seed, "date": str(date.today()), "load": load, **found}
        )
        options.out.write_text("".join(json.dumps(each) + "\n" for each in results), "utf-8")
    print(table(results))
    print(costs(results))
    fill(PAGE, "results", table(results))
    fill(PAGE, "costs", costs(results))
    fill(PAGE, "parts", parts(results))


if __name__ == "__main__":
    main()
