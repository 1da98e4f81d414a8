"""Cleaning and encoding against the loop a user would write, and padding against one length.

    [NOCTURNE_REAL_DATA=DIR] python -m benchmarks.preparing [--rows 100000]

Text is generated, or taken from the unlabelled tweets where the variable names the folder of
the real sets. The loop is plain Python: `re.sub` for each step, one regular expression for the
tokens and a `dict`, row by row, with the same vocabulary. Rows that do more than the default
steps are compared with that loop all the same, the stemmed one with a loop that stems. Rates are
rows per second of CPU time, the best of `--repeats` runs, so that neighbours on the machine
disturb them less; the load average is printed beside them.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import snowballstemmer

from tasks.config import Choice, Preprocessing
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.sequences.preprocessor import fit_preprocessor

DEFAULT = ("lowercase", "links", "user_names", "numbers")
STEPS = {
    "word, default steps": Preprocessing(),
    "word, nine steps": Preprocessing(
        cleaning=("entities", *DEFAULT, "hashtags", "elongations", "punctuation", "stop_words")
    ),
    "word, default and stem": Preprocessing(cleaning=(*DEFAULT, "stem")),
    "word, default and lemmatise": Preprocessing(cleaning=(*DEFAULT, "lemmatise")),
    "subword, default steps": Preprocessing(tokenizer=Choice(name="subword")),
}


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    where, frame = tweets(arguments.rows)
    print(f"{len(frame):,} rows of {where}; load average {os.getloadavg()[0]:.2f}\n")
    text(frame, arguments.repeats)
    numeric(arguments.rows // 10, arguments.repeats)
    padding(frame)
    print(f"\nload average {os.getloadavg()[0]:.2f}")


def tweets(rows: int) -> tuple[str, pd.DataFrame]:
    """What to encode, and what to call it."""
    folder = os.environ.get("NOCTURNE_REAL_DATA")
    if folder:
        texts = pd.read_parquet(Path(folder) / "tweets_unlabelled" / "data.parquet")["text"]
        return "unlabelled tweets", pd.DataFrame({"text": texts.iloc[:rows]}).reset_index(drop=True)
    return "generated tweets", pd.DataFrame({"text": pd.Series(generated(rows), dtype="str")})


def generated(rows: int) -> list[str]:
    """About 18 words a row from a Zipf-like vocabulary, with names, links, numbers and signs."""
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, (150_000, 9)).astype(np.uint8)
    lengths = generator.integers(2, 10, 150_000)
    words = [bytes(row[:length]).decode() for row, length in zip(letters, lengths, strict=True)]
    extras = ["{}!", "{},", "{}.", "#{}", "@{}", "{}...", "\U0001f600", "12:30", "http://t.co/{}"]
    texts = []
    for count in generator.integers(6, 30, rows):
        ranks = np.minimum(generator.zipf(1.25, count), len(words)) - 1
        row = [words[rank].capitalize() if rank % 9 == 0 else words[rank] for rank in ranks]
        for at in generator.integers(0, count, max(1, count // 5)):
            row[at] = extras[generator.integers(len(extras))].format(row[at])
        texts.append(" ".join(row))
    return texts


def best(run: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of the fastest run."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def text(frame: pd.DataFrame, repeats: int) -> None:
    """Rates of clean and encode, and the latency of one row."""
    few = frame["text"].iloc[: max(1, len(frame) // 20)].tolist()
    state = fit_preprocessor("text", Preprocessing(), frame).to_json()
    stem = snowballstemmer.stemmer("english").stemWord
    plain = len(frame) / best(lambda: loop(frame["text"].tolist(), state), repeats)
    stemmed = len(few) / best(lambda: loop(few, state, stem), 1)
    print("| clean and encode | rows/s/core | over the loop | one row alone, ms |")
    print("|---|---|---|---|")
    print(f"| plain loop, default steps | {plain:,.0f} | 1.0 | |")
    print(f"| plain loop, default and stem | {stemmed:,.0f} | 1.0 | |")
    for name, preprocessing in STEPS.items():
        encode = fit_preprocessor("text", preprocessing, frame).encode
        rate = len(frame) / best(functools.partial(encode, frame), repeats)
        ratio = rate / (stemmed if "stem" in name else plain)
        alone = statistics.median(seconds(encode, frame.iloc[row : row + 1]) for row in range(500))
        print(f"| {name} | {rate:,.0f} | {ratio:.1f} | {alone * 1e3:.2f} |")


def seconds(encode: Callable[[pd.DataFrame], Any], row: pd.DataFrame) -> float:
    """Wall time of encoding one row."""
    start = time.perf_counter()
    encode(row)
    return time.perf_counter() - start


def loop(
    texts: list[str], state: dict[str, Any], change: Callable[[str], str] | None = None
) -> list[list[int]]:
    """The default steps row by row, and one more for each word where given."""
    words = {word: number for number, word in enumerate(state["tokenizer"]["state"]["words"], 2)}
    links, users = re.compile(r"(?:https?:|www\.)\S+"), re.compile(r"(?<!\w)@\w+")
    numbers = re.compile(r"\b\d+(?:[.,:/-]\d+)*\b")
    tokens = re.compile(r"\w+(?:'\w+)*|<(?:url|user|number)>|[^\w\s]")
    encoded = []
    for row in texts:
        cleaned = users.sub(" <user> ", links.sub(" <url> ", row.lower()))
        found = tokens.findall(numbers.sub(" <number> ", cleaned))
        if change:
            found = [change(token) for token in found]
        encoded.append([words.get(token, 1) for token in found][:128])
    return encoded


def numeric(rows: int, repeats: int) -> None:
    """Rates of scaling."""
    generator = np.random.default_rng(1)
    lengths = generator.integers(10, 100, rows)
    made = [generator.normal(size=(length, 6)).astype(np.float32) for length in lengths]
    kind = pa.list_(pa.list_(pa.float32()))
    column = pa.array([series.tolist() for series in made], kind)
    frame = pd.DataFrame({"series": pd.Series(pd.arrays.ArrowExtensionArray(column))})
    preprocessor = fit_preprocessor("numeric", Preprocessing(), frame)
    ours = rows / best(lambda: preprocessor.encode(frame), repeats)
    plain = rows / best(lambda: scaled_one_by_one(frame, preprocessor.to_json()), 1)
    print(f"\n| scale series of {lengths.mean():.0f} steps | rows/s/core | over the loop |")
    print(f"|---|---|---|\n| plain loop | {plain:,.0f} | 1.0 |")
    print(f"| standard | {ours:,.0f} | {ours / plain:.1f} |")


def scaled_one_by_one(frame: pd.DataFrame, state: dict[str, Any]) -> list[Any]:
    """Series scaled row by row in NumPy."""
    center, scale = np.array(state["center"]), np.array(state["scale"])
    return [
        np.nan_to_num((np.array(series, np.float32) - center) / scale) for series in frame["series"]
    ]


def padding(frame: pd.DataFrame) -> None:
    """How much of what a model computes is real."""
    lengths = fit_preprocessor("text", Preprocessing(), frame).encode(frame).lengths
    batches = bucketed(lengths, 256, seed=0, shuffle=True)
    bucket = sum(len(rows) * bucket_length(int(lengths[rows].max())) for rows in batches)
    mixed = np.random.default_rng(0).permutation(len(lengths))
    chunks = (mixed[at : at + 256] for at in range(0, len(mixed), 256))
    longest = sum(len(rows) * int(lengths[rows].max()) for rows in chunks)
    shapes = len({bucket_length(int(lengths[rows].max())) for rows in batches})
    one = len(lengths) * int(np.quantile(lengths, 0.99))
    print("\n| batches of 256 | steps computed over real steps | padded lengths |\n|---|---|---|")
    print(f"| all to the 99th percentile | {one / lengths.sum():.2f} | 1 |")
    print(f"| each to its longest row | {longest / lengths.sum():.2f} | many |")
    print(f"| rows of like length together | {bucket / lengths.sum():.2f} | {shapes} |")


if __name__ == "__main__":
    main()
