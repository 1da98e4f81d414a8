"""Training rows a second: the way of the tutorials against Nocturne's, the same model and rows.

    [NOCTURNE_REAL_DATA=DIR] python -m benchmarks.training [--rows 12000] [--epochs 10]

Texts are generated support tickets, or airline_tweets where the variable names the folder of the
real sets. The tutorials' way pads every row to the 99th percentile of lengths and calls stock
`fit` with batches of 32, Adam and early stopping. Nocturne's way is `tasks.training.fit`. Both
train two stacked LSTMs with dropout 0.3 over a vocabulary of 10,000, from the same initial
weights. Rates are those of the fastest epoch, the first left out, in which Keras traces the model;
seconds include it. Ways take turns, seed after seed; the last line is the best of each.
The share of the machine is what the LSTMs' matrix products on *real* steps need, over the
fastest square matrix product measured here; padding is work, but it is not counted as useful.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Choice, Preprocessing, Training
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.sequences.preprocessor import fit_preprocessor
from tasks.training.batches import probabilities
from tasks.training.fit import fit

VOCABULARY, EMBEDDING, UNITS, DROPOUT, PATIENCE = 10_000, 128, 64, 0.3, 3
OURS = {
    "batches of 128": Training(batch_size=128, learning_rate=2e-3, patience=PATIENCE),
    "batches of 256": Training(batch_size=256, learning_rate=3e-3, patience=PATIENCE),
}


@dataclass(frozen=True)
class Result:
    """One way of training, measured."""

    way: str
    rows_per_second: float
    steps_per_second: float
    macro_f1: float
    seconds: float
    seconds_to_best: float
    epochs: int


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    where, train, validation, classes = examples(arguments.rows)
    lengths = train.inputs.lengths
    print(
        f"{len(train):,} training rows of {where}, lengths: mean {lengths.mean():.0f}, 99 % up to "
        f"{np.percentile(lengths, 99):.0f}; load average {os.getloadavg()[0]:.2f}"
    )
    peak = matmul_peak()
    print(f"fastest matrix product: {peak:.0f} GFLOP/s\n")
    results = []
    for seed in range(arguments.seeds):
        results.append(tutorial(train, validation, classes, arguments.epochs, seed))
        for way, settings in OURS.items():
            epochs = {"epochs": arguments.epochs, "min_updates": 0}
            trained = settings.model_copy(update=epochs)
            results.append(nocturne(way, train, validation, classes, trained, seed))
    table(results, peak)
    fastest = {each.way: each.rows_per_second for each in sorted(results, key=_rate)}
    ratios = [f"{way} {fastest[way] / fastest['tutorial']:.1f}x" for way in OURS]
    print(f"\nfastest against fastest: {', '.join(ratios)}")
    print(f"load average {os.getloadavg()[0]:.2f}")


def _rate(result: Result) -> float:
    return result.rows_per_second


def examples(rows: int) -> tuple[str, Examples, Examples, int]:
    """Encoded rows, a fifth of them for validation, and the number of classes."""
    where, frame = texts()
    frame = frame.dropna().drop_duplicates("text").sample(frac=1, random_state=0)
    frame = frame.iloc[:rows].reset_index(drop=True)
    labels, names = pd.factorize(frame["label"], sort=True)
    cut = len(frame) // 5
    tokenizer = Choice(name="word", options={"max_tokens": VOCABULARY})
    asked = Preprocessing(tokenizer=tokenizer)
    preprocessor = fit_preprocessor("text", asked, frame.iloc[cut:])
    validation, train = (
        Examples(
            preprocessor.encode(part),
            labels[part.index].astype(np.int32),
            part.index.to_numpy().astype(np.str_),
        )
        for part in (frame.iloc[:cut], frame.iloc[cut:])
    )
    return where, train, validation, len(names)


def texts() -> tuple[str, pd.DataFrame]:
    """What to train on, and what to call it."""
    folder = os.environ.get("NOCTURNE_REAL_DATA")
    if folder:
        path = Path(folder) / "airline_tweets" / "data.csv"
        return "airline_tweets", pd.read_csv(path, usecols=["text", "label"])
    from tasks.datasets.synthetic import read_synthetic

    table = read_synthetic(None, days=365, end="2026-06-30").select(["text", "topic"])
    return "generated tickets", table.to_pandas().rename(columns={"topic": "label"})


def model(classes: int, seed: int) -> keras.Model:
    """The article's first model: two LSTMs on top of each other, dropout between."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=True),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Dropout(DROPOUT),
            layers.LSTM(UNITS),
            layers.Dropout(DROPOUT),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def clock() -> tuple[keras.callbacks.Callback, dict[str, list[float]]]:
    """When each epoch began, when its updates were done and when it had been validated."""
    times: dict[str, list[float]] = {"began": [], "trained": [], "ended": []}

    def note(what: str) -> Callable[..., None]:
        return lambda *_, **__: times[what].append(time.perf_counter())

    made = keras.callbacks.LambdaCallback(on_epoch_begin=note("began"), on_epoch_end=note("ended"))
    made.on_test_begin = note("trained")
    return made, times


def tutorial(train: Examples, validation: Examples, classes: int, epochs: int, seed: int) -> Result:
    """Everything padded to one length, batches of 32, stock `fit`."""
    length = int(np.percentile(train.inputs.lengths, 99))
    padded, held = train.inputs.padded(length), validation.inputs.padded(length)
    made, (callback, times) = model(classes, seed), clock()
    made.compile("adam", "sparse_categorical_crossentropy")
    stopping = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    history = made.fit(
        padded,
        train.labels,
        batch_size=32,
        epochs=epochs,
        validation_data=(held, validation.labels),
        callbacks=[callback, stopping],
        verbose=0,
    )
    best = int(np.argmin(history.history["val_loss"]))
    return result(
        "tutorial",
        train,
        seconds=[end - begin for begin, end in zip(times["began"], times["trained"], strict=True)],
        answers=made.predict(held, verbose=0),
        validation=validation,
        total=times["ended"][-1] - times["began"][0],
        to_best=times["ended"][best] - times["began"][0],
    )


def nocturne(
    way: str,
    train: Examples,
    validation: Examples,
    classes: int,
    settings: Training,
    seed: int,
) -> Result:
    """Rows of like length together, larger batches, warm-up and cosine, stopped by macro-F1."""
    made, ends = model(classes, seed), []
    began = time.perf_counter()
    history = fit(
        made,
        train,
        validation,
        settings,
        weights=None,
        batches_of=bucketed,
        pad_to=bucket_length,
        classes=classes,
        metric=lambda labels, answers: score(labels, answers)["macro_f1"],
        seed=seed,
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    return result(
        way,
        train,
        seconds=[epoch["seconds"] for epoch in history.epochs],
        answers=probabilities(made, validation.inputs, batches_of=bucketed, pad_to=bucket_length),
        validation=validation,
        total=ends[-1] - began,
        to_best=ends[history.best] - began,
    )


def result(
    way: str,
    train: Examples,
    *,
    seconds: Iterable[float],
    answers: NDArray[np.float32],
    validation: Examples,
    total: float,
    to_best: float,
) -> Result:
    """Rates of the fastest epoch after the first: neighbours on the machine only add to one."""
    taken = list(seconds)
    a_pass = min(taken[1:] or taken)
    return Result(
        way=way,
        rows_per_second=len(train) / a_pass,
        steps_per_second=float(train.inputs.lengths.sum()) / a_pass,
        macro_f1=score(validation.labels, answers)["macro_f1"],
        seconds=total,
        seconds_to_best=to_best,
        epochs=len(taken),
    )


def matmul_peak(sizes: Iterable[int] = (512, 1024, 2048), repeats: int = 12) -> float:
    """GFLOP/s of the fastest square float32 product."""
    fastest = 0.0
    for size in sizes:
        matrix = keras.ops.ones((size, size))
        for _ in range(repeats):
            began = time.perf_counter()
            keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
            fastest = max(fastest, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return fastest


def useful_gflop(steps: float) -> float:
    """Of both LSTMs' products over so many steps, forwards and, at twice that, backwards."""
    products = 4 * UNITS * (EMBEDDING + UNITS) + 4 * UNITS * (UNITS + UNITS)
    return 3 * 2 * products * steps / 1e9


def table(results: list[Result], peak: float) -> None:
    """Print one line a way, in ratios to the tutorial's."""
    columns = ("rows/s", "ratio", "macro-F1", "best after", "epochs", "in all", "of peak")
    print(f"{'':20}" + "".join(f"{column:>12}" for column in columns))
    base = results[0].rows_per_second
    for each in results:
        base = each.rows_per_second if each.way == "tutorial" else base
        cells = (
            f"{each.rows_per_second:,.0f}",
            f"{each.rows_per_second / base:.1f}x",
            f"{each.macro_f1:.3f}",
            f"{each.seconds_to_best:.0f} s",
            f"{each.epochs}",
            f"{each.seconds:.0f} s",
            f"{useful_gflop(each.steps_per_second) / peak:.0%}",
        )
        print(f"{each.way:20}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
