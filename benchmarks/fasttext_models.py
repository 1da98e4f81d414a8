"""fastText from scratch on the very rows of a night: settings chosen on its validation rows.

    python -m benchmarks.fasttext_models PYTHON NAME=PREPARED ... [--seeds 3]

fastText's library wants NumPy below 2, so it lives in an environment of its own, whose PYTHON is
named here (`pip install fasttext-wheel "numpy<2"`). PREPARED is the folder that a night's `prepare`
left. Texts are lowercased and cut at punctuation, as its documentation advises. The best of a
grid on validation macro-F1 learns again from train and validation rows, seed by seed, and answers
for the test rows. Results go to `fasttext.jsonl`, from which `benchmarks.accuracy` has a column.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from datetime import date
from pathlib import Path

import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from benchmarks.accuracy import FASTTEXT, lines_of

SPLITS = ("train", "validation", "test")
GRID = [
    {"lr": lr, "epoch": epoch, "wordNgrams": words, "minn": least, "maxn": most}
    for lr in (0.1, 0.5, 1.0)
    for epoch in (5, 25)
    for words in (1, 2)
    for least, most in ((0, 0), (3, 6))
]
TRAIN = """
import fasttext, json, sys, tempfile
asked = json.load(sys.stdin)
with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
    file.writelines(f"__label__{label} {text}\\n" for label, text in asked["known"])
    file.flush()
    for options in asked["options"]:
        model = fasttext.train_supervised(
            file.name, dim=100, bucket=200000, thread=1, verbose=0, **options
        )
        lines = [text + "\\n" for text in asked["texts"]]
        said, _ = model.f.multilinePredict(lines, 1, 0.0, "strict")
        print(json.dumps([int(best[0].removeprefix("__label__")) for best in said]))
"""


def main() -> None:
    """Measure, and keep what was found in the place of what was there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="of the environment that has fastText")
    parser.add_argument("prepared", nargs="+", metavar="NAME=PREPARED")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for each in options.prepared:
        name, _, folder = each.partition("=")
        scores, chosen = measure(options.python, Path(folder), options.seeds)
        found = {"dataset": name, "date": str(date.today()), "settings": chosen, "test": scores}
        print(found, flush=True)
        kept = [line for line in lines_of(FASTTEXT) if line["dataset"] != name]
        lines = [json.dumps(line) + "\n" for line in [*kept, found]]
        FASTTEXT.write_text("".join(lines), "utf-8")


def measure(
    python: str, prepared: Path, seeds: int
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Test scores of each seed, and the settings that validation rows chose."""
    rows = {name: pd.read_parquet(prepared / f"rows_{name}.parquet") for name in SPLITS}
    labels = sorted({label for part in rows.values() for label in part["label"]})
    numbered = {
        name: list(zip(part["label"].map(labels.index), part["text"].map(cut), strict=True))
        for name, part in rows.items()
    }
    tried = answers(python, numbered["train"], numbered["validation"], GRID)
    reached = [scores(numbered["validation"], said)["macro_f1"] for said in tried]
    chosen = GRID[max(range(len(GRID)), key=lambda place: reached[place])]
    known = numbered["train"] + numbered["validation"]
    again = [chosen | {"seed": seed} for seed in range(1, seeds + 1)]
    found = answers(python, known, numbered["test"], again)
    return [scores(numbered["test"], said) for said in found], chosen


def answers(
    python: str,
    known: list[tuple[int, str]],
    asked: list[tuple[int, str]],
    options: list[dict[str, float]],
) -> list[list[int]]:
    """What models with each of the options say to the asked texts."""
    question = {"known": known, "texts": [text for _, text in asked], "options": options}
    command, told = [python, "-c", TRAIN], json.dumps(question)
    done = subprocess.run(command, input=told, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"fastText in {python} ended with {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def cut(text: str) -> str:
    """Lowercase words and punctuation, apart, on one line."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower())) or "."


def scores(asked: list[tuple[int, str]], said: list[int]) -> dict[str, float]:
    """The metrics that the tables quote."""
    wanted = [label for label, _ in asked]
    return {
        "accuracy": round(float(accuracy_score(wanted, said)), 4),
        "macro_f1": round(float(f1_score(wanted, said, average="macro")), 4),
        "balanced_accuracy": round(float(balanced_accuracy_score(wanted, said)), 4),
    }


if __name__ == "__main__":
    main()
