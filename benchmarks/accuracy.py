"""What the promoted model reaches on real data, with `nocturne init` and `nocturne retrain` alone.

    NOCTURNE_REAL_DATA=DIR python -m benchmarks.accuracy [--seeds 3] [--only NAME ...]

Each dataset and seed gets a home of its own, so that every night is a first night. TF-IDF with a
linear SVM and with logistic regression is fitted beside it on the same rows. Results are kept as
they come in `--out`; a run that was stopped continues where it was. Prints the table at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """One labelled set: its flags for `nocturne init`, and what others reached on it.

    Attributes:
        flags: After `nocturne init DATA`.
        metric: The metric the field quotes for it.
        article: Best of the article's three models, metric and macro-F1.
        published: Rows of the field's tables that use no pretraining.
        folder: Where its files are, if not under its own name.
        change: One line of the drafted pipeline file and what it is changed to.
        tweets: Whether `--unlabelled` names the tweets without labels beside it.
    """

    flags: tuple[str, ...]
    metric: str
    article: tuple[float, float]
    published: str
    folder: str = ""
    change: tuple[str, str] | None = None
    tweets: bool = False


TEXT = ("--label", "label", "--text", "text", "--id", "id")
SERIES = ("--label", "label", "--sequence", "--id", "id", "--step", "step")
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
        (*SERIES, *OFFICIAL), "accuracy", (0.950, 0.950), "LSTM-FCN .99, MLSTM-FCN 1.00"
    ),
    "medical_images": Dataset(
        (*SERIES, *OFFICIAL), "accuracy", (0.522, 0.117), "LSTM-FCN .789, FCN .792"
    ),
    "tweeteval_sentiment": Dataset(
        (*TEXT, *OFFICIAL),
        "balanced_accuracy",
        (0.598, 0.589),
        "LSTM .583, SVM .629, fastText .629",
        tweets=True,
    ),
}
FILES = {
    "japanese_vowels": ("series.parquet", "labels.csv"),
    "medical_images": ("series.parquet", "labels.csv"),
}


def night(name: str, seed: int, data: Path, home: Path) -> dict[str, Any]:
    """One first night of one dataset, through the command line alone."""
    files = FILES.get(name, ("data.csv",))
    folder = data / (DATASETS[name].folder or name)
    flags = [*DATASETS[name].flags, "--name", name]
    if len(files) == 2:
        flags += ["--labels", str(folder / files[1])]
    if DATASETS[name].tweets:
        flags += ["--unlabelled", str(data / "tweets_unlabelled" / "data.parquet")]
    _nocturne(home, "init", str(folder / files[0]), *flags)
    if DATASETS[name].change:
        _change(home / "conf" / f"{name}.yaml", *DATASETS[name].change)
    began = time.perf_counter()
    record = _nocturne(home, "retrain", f"conf/{name}.yaml", "--seed", str(seed), "--json")
    challenger = next(c for c in record["candidates"] if c["name"] == record["challenger"])
    return {
        "outcome": record["outcome"],
        "reason": record["reason"],
        "challenger": record["challenger"],
        "validation": challenger["validation"],
        "test": challenger["test"],
        "candidates": {c["name"]: c["test"] for c in record["candidates"]},
        "seconds": time.perf_counter() - began,
        "steps": record["seconds"],
    }


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{path}: expected {old!r} once, found it {text.count(old)} times")
    path.write_text(text.replace(old, new), "utf-8")


def _nocturne(home: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "flows.cli", *arguments]
    environment = os.environ | {"NOCTURNE_HOME": str(home / ".nocturne")}
    result = subprocess.run(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode not in (0, 3):
        raise RuntimeError(f"nocturne {' '.join(arguments)} ended with {result.returncode}")
    return json.loads(result.stdout) if "--json" in arguments else None


def linear(name: str, data: Path) -> dict[str, dict[str, float]]:
    """TF-IDF of word 1-2 grams with balanced linear models, on the official split."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    frame = pd.read_csv(data / name / "data.csv")
    train, test = frame[frame["split"] != "test"], frame[frame["split"] == "test"]
    models = {
        "SVM": LinearSVC(class_weight="balanced"),
        "LR": LogisticRegression(C=4, class_weight="balanced", max_iter=2000),
    }
    scores = {}
    for label, model in models.items():
        fitted = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), model)
        said = fitted.fit(train["text"], train["label"]).predict(test["text"])
        scores[label] = {
            "accuracy": accuracy_score(test["label"], said),
            "macro_f1": f1_score(test["label"], said, average="macro"),
            "balanced_accuracy": recall_score(test["label"], said, average="macro"),
        }
    return scores


def interval(values: list[float]) -> str:
    """Mean and the half-width of its 95 % interval over seeds (Student's t)."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f}"
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: dataset, metric, ours over seeds, the article's best, linear models, published."""
    lines = [
        "| dataset (metric), seeds | ours | macro-F1 | article's best | SVM | LR | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, dataset in DATASETS.items():
        ours = [r["test"] for r in results if r["dataset"] == name and "test" in r]
        plain = next((r["linear"] for r in results if r["dataset"] == name and "linear" in r), {})
        if not ours:
            continue
        cells = [
            interval([test[dataset.metric] for test in ours]),
            interval([test["macro_f1"] for test in ours]),
            " / ".join(f"{value:.3f}" for value in dataset.article),
            *(
                f"{plain[m][dataset.metric]:.3f} / {plain[m]['macro_f1']:.3f}" if plain else "–"
                for m in ("SVM", "LR")
            ),
            dataset.published,
        ]
        lines.append(
            f"| {name} ({dataset.metric}), {len(ours)} seeds | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def pending(
    names: list[str], seeds: int, results: list[dict[str, Any]]
) -> Iterator[tuple[str, int]]:
    """What is still to run; seed 0 stands for the linear models of text sets."""
    have = {(r["dataset"], r["seed"]) for r in results}
    for seed in range(seeds + 1):
        for name in names:
            runs = seed > 0 or (name not in FILES and "--split" in DATASETS[name].flags)
            if runs and (name, seed) not in have:
                yield name, seed


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--out", type=Path, default=Path(".nocturne/benchmarks/accuracy.jsonl"))
    options = parser.parse_args()
    root = os.environ.get("NOCTURNE_REAL_DATA")
    if not root:
        parser.exit(2, "set NOCTURNE_REAL_DATA to the folder that holds the datasets\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    results = [json.loads(line) for line in lines]
    todo = list(pending(options.only, options.seeds, results))
    for done, (name, seed) in enumerate(todo, 1):
        print(
            f"[{done}/{len(todo)}] {name}, seed {seed}, load {os.getloadavg()[0]:.1f}", flush=True
        )
        if seed == 0:
            found: dict[str, Any] = {"linear": linear(name, Path(root))}
        else:
            with tempfile.TemporaryDirectory() as home:
                found = night(name, seed, Path(root), Path(home))
        results.append({"dataset": name, "seed": seed, "load": os.getloadavg()[0], **found})
        with options.out.open("a") as log:
            log.write(json.dumps(results[-1]) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
