"""Seconds until a model is as good as the article's best: its own way against Nocturne's.

    NOCTURNE_REAL_DATA=DIR python -m benchmarks.reaching [--seeds 3] [--only NAME ...] [--write]

The article's three models are trained as its reader would: vocabulary of 10,000, every row padded
to the 99th percentile of lengths, batches of 32, Adam, stock `fit`, up to ten passes. A: two LSTMs
with dropout 0.3; B: the same with L2 0.01 on the last layer; C: one LSTM with additive attention
that attends to the padding too. The mark is the best macro-F1 on validation rows that any epoch of
the three reaches. Beside it the drafted blend is fitted, without texts that have no labels, until
an epoch is at the mark. It is looked at once before its first epoch, too, when its linear member is
solved for and its LSTM still knows nothing. All clocks begin with encoded rows, so building,
tracing, solving and validating count; all fits of a seed run one after another in one process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import yaml

from benchmarks.ablation import Part, job_of
from benchmarks.accuracy import DATASETS, draft
from benchmarks.pages import fill
from tasks.architectures import ARCHITECTURES
from tasks.candidates.fitting import answers, fit_one
from tasks.candidates.job import Job
from tasks.config import resolve
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.training.members import solve

SETS = ("trec", "tweeteval_emotion", "airline_tweets")
VOCABULARY, EMBEDDING, UNITS, DROPOUT, L2, EPOCHS = 10_000, 128, 64, 0.3, 0.01, 10
NO_VECTORS = {"vectors": 0}
WORDS = {"tokenizer": {"name": "word", "options": {"max_tokens": VOCABULARY}}}
ARTICLE = Part("article", preprocessing=WORDS | NO_VECTORS)
OURS = Part("ours", preprocessing=NO_VECTORS)


def article(classes: int, seed: int) -> Iterator[tuple[str, keras.Model]]:
    """The three models, compiled."""
    layers = keras.layers
    for name in "ABC":
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((None,), dtype="int32")
        steps = layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=name != "C")(inputs)
        states = layers.LSTM(UNITS, return_sequences=True)(steps)
        if name == "C":
            shares = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(states))
            vector = layers.Flatten()(layers.Dot(axes=1)([shares, states]))
        else:
            vector = layers.LSTM(UNITS)(layers.Dropout(DROPOUT)(states))
        penalty = keras.regularizers.L2(L2) if name == "B" else None
        head = layers.Dense(classes, activation="softmax", kernel_regularizer=penalty)
        model = keras.Model(inputs, head(layers.Dropout(DROPOUT)(vector)))
        model.compile("adam", "sparse_categorical_crossentropy")
        yield name, model


def best_of_article(train: Examples, held: Examples, classes: int, seed: int) -> tuple[float, ...]:
    """The best macro-F1 of any epoch of the three models, and the seconds that one took to it."""
    length = int(np.percentile(train.inputs.lengths, 99))
    rows, asked = train.inputs.padded(length), held.inputs.padded(length)
    reached: list[tuple[float, float]] = []
    for name, model in article(classes, seed):
        began = time.perf_counter()
        for epoch in range(1, EPOCHS + 1):
            model.fit(rows, train.labels, batch_size=32, verbose=0)
            said = model.predict(asked, verbose=0)
            reached.append((score(held.labels, said)["macro_f1"], time.perf_counter() - began))
            print(f"  {name}, epoch {epoch}: {reached[-1][0]:.3f}", flush=True)
    mark = max(found for found, _ in reached)
    return mark, min(seconds for found, seconds in reached if found == mark)


def until(mark: float, job: Job, train: Examples, held: Examples) -> tuple[float, float]:
    """Macro-F1 and seconds of our first epoch at the mark, or of the last epoch."""
    began, found = time.perf_counter(), (0.0, 0.0)

    class There(Exception):
        """The mark is reached."""

    def heard(epoch: dict[str, Any]) -> None:
        nonlocal found
        found = epoch["validation_metric"], time.perf_counter() - began
        print(f"  ours, epoch {epoch['epoch']}: {found[0]:.3f}", flush=True)
        if found[0] >= mark:
            raise There

    keras.backend.clear_session()
    with suppress(There):
        fit_one(job, train, held, subject="ours", kept="ours", seed=job.seed, on_epoch=heard)
    return found


def solved(job: Job, train: Examples, held: Examples) -> tuple[float, float]:
    """Macro-F1 and seconds of the blend before its first epoch."""
    keras.backend.clear_session()
    began = time.perf_counter()
    keras.utils.set_random_seed(job.seed)
    model = resolve(ARCHITECTURES, job.architecture, "architecture")(job.spec, len(job.classes))
    solve(model, train, held, None, seed=job.seed)
    said = answers(model, held)
    return score(held.labels, said)["macro_f1"], time.perf_counter() - began


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    root = os.environ.get("NOCTURNE_REAL_DATA")
    if not root:
        parser.exit(2, "set NOCTURNE_REAL_DATA to the folder that holds the datasets\n")
    ours = ("ours, s", "reached", "times sooner", "solved alone, s", "reached", "times sooner")
    heads = ("dataset", "seed", "mark", "article, s", *ours, "load")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            draft(name, DATASETS[name], Path(root).resolve(), Path(folder))
            drafted = yaml.safe_load(Path(folder, "conf", f"{name}.yaml").read_text("utf-8"))
            drafted["contract"]["suite"] = None
            for seed in range(1, options.seeds + 1):
                lines.append(f"| {name} | {seed} | {_line(drafted, seed, Path(folder))} |")
                print(lines[-1], flush=True)
    print("\n".join(lines))
    if options.write:
        fill(Path(__file__).with_name("ACCURACY.md"), "reaching", "\n".join(lines))


def _line(drafted: dict[str, Any], seed: int, home: Path) -> str:
    theirs, ours = (job_of(drafted, part, seed, name="fit", home=home) for part in (ARTICLE, OURS))
    mark, seconds = best_of_article(*_rows(theirs), len(theirs.classes), seed)
    cells = [f"{mark:.3f}", f"{seconds:.0f}"]
    for reached, sooner in (until(mark, ours, *_rows(ours)), solved(ours, *_rows(ours))):
        times = f"{seconds / sooner:.1f}" if reached >= mark else "below the mark"
        cells += [f"{sooner:.0f}", f"{reached:.3f}", times]
    return " | ".join([*cells, f"{os.getloadavg()[0]:.1f}"])


def _rows(job: Job) -> tuple[Examples, Examples]:
    prepared = Path(job.prepared)
    return Examples.load(prepared / "train"), Examples.load(prepared / "validation")


if __name__ == "__main__":
    main()
