"""How often monitoring cries wolf, and what it sees: simulated months of generated tickets.

    python -m benchmarks.monitoring [--months 200] [--shifted 12] [--plot docs/monitoring.png]

A month draws a reference and then night after night from the same pool of generated tickets
(quiet), or from a shifted one. Answers are drawn too: a class by the ticket's words, a confidence
by the class. Each night takes the path of `nocturne monitor` from rows to its smallest chance;
levels and debounce are then applied as they are in use, for every rate that is asked for, to the
same nights. The first table holds the false alarms of 30 quiet nights against those asked for;
the second the share of shifted nights that are conspicuous, and of shifts that raise an alarm
within seven nights. Sampling errors stand beside them.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

NIGHTS = 30
ASKED = (0.25, 0.5, 1.0, 2.0)
RULES = ((1, 1), (2, 3))
SHIFTS = {
    "confidence less by": ("confidence", (0.02, 0.05, 0.1)),
    "rows of another class": ("mix", (0.05, 0.1, 0.2)),
    "words replaced by new ones": ("words", (0.01, 0.03, 0.1)),
    "rows cut to half their words": ("cut", (0.05, 0.15, 0.4)),
}
PERMUTATIONS = 399


@dataclass(frozen=True)
class Pool:
    """Tickets to draw from: texts, their classes and how sure a model is of them."""

    texts: np.ndarray
    classes: np.ndarray
    sure: np.ndarray


@cache
def pool() -> Pool:
    """Generated tickets of 150 days; confidence depends on the class, as it does."""
    from tasks.datasets.synthetic import read_synthetic

    table = read_synthetic(None, days=150, end="2026-03-01")
    frame = table.select(["text", "topic"]).to_pandas().dropna().sample(frac=1, random_state=0)
    classes = frame["topic"].astype("category").cat.codes.to_numpy() % 5
    rng = np.random.default_rng(0)
    sure = rng.beta(9 + classes, 2)
    return Pool(frame["text"].to_numpy(object), classes, sure)


def drawn(rows: Pool, count: int, rng: np.random.Generator, shift: tuple[str, float] | None):
    """A night's log, shifted or not."""
    import pyarrow as pa

    from tasks import reference_rows

    at = rng.integers(0, len(rows.texts), count)
    texts, classes, sure = rows.texts[at], rows.classes[at].copy(), rows.sure[at].copy()
    kind, size = shift or ("", 0.0)
    if kind == "confidence":
        sure = np.clip(sure - size, 0.2, 1)
    hit = np.flatnonzero(rng.random(count) < size)
    if kind == "mix":
        classes[hit] = 1
    words = [text.split() for text in texts]
    if kind == "cut":
        for place in hit:
            words[place] = words[place][: max(1, len(words[place]) // 2)]
    unknown = rng.binomial([len(each) for each in words], 0.03)
    if kind == "words":
        new = [rng.random(len(each)) < size for each in words]
        pairs = zip(new, words, strict=True)
        words = [np.where(hits, "novel", each).tolist() for hits, each in pairs]
        unknown = unknown + [int(hits.sum()) for hits in new]
    texts = [" ".join(each) for each in words]
    lengths = np.array([len(each) for each in words])
    others = (1 - sure)[:, None] / 4
    probabilities = np.where(np.arange(5) == classes[:, None], sure[:, None], others)
    names = [f"class {number}" for number in range(5)]
    given = {
        "version": ["1"] * count,
        "label": [names[number] for number in classes],
        "probabilities": probabilities.tolist(),
        "length": lengths.tolist(),
        "unknown": np.minimum(unknown, lengths).tolist(),
        "text": texts,
        "truth": [names[number] for number in classes],
    }
    return pa.table(
        {
            field.name: pa.array(given[field.name], field.type)
            if field.name in given
            else pa.nulls(count, field.type)
            for field in reference_rows.schema()
        }
    )


def month(asked: tuple[int, int, int, int, tuple[str, float] | None]) -> list[float]:
    """The smallest chance of each night of a month."""
    from tasks.drift.day import judged

    number, nights, rows, references, shift = asked
    rng = np.random.default_rng((number, 1))
    tickets = pool()
    reference = drawn(tickets, references, rng, None)
    found = []
    for night in range(nights):
        day = drawn(tickets, rows, rng, shift)
        seed = number * 1_000 + night
        found.append(judged(day, reference, permutations=PERMUTATIONS, seed=seed).smallest)
    return found


def alarmed(chances: list[list[float]], asked: float, k: int, of: int, shared: float):
    """Alarms of each month at the level in use, and that level."""
    from tasks.drift.rates import alarms, nightly_level

    level = nightly_level(asked, k, of, round(shared, 2))
    raised = [alarms([chance <= level for chance in nights], k, of) for nights in chances]
    return raised, level


def quiet_table(chances: list[list[float]], shared: float) -> list[dict[str, float]]:
    """Asked against measured, for every rate and rule; nights scaled to 30."""
    found = []
    for k, of in RULES:
        for asked in ASKED:
            raised, level = alarmed(chances, asked, k, of, shared)
            counts = [sum(nights) * NIGHTS / len(nights) for nights in raised]
            error = float(np.std(counts) / np.sqrt(len(counts)))
            rate = float(np.mean([c <= level for nights in chances for c in nights]))
            row = {"k": k, "of": of, "asked": asked, "level": level, "nights": rate}
            found.append(row | {"measured": float(np.mean(counts)), "error": error})
    return found


def shift_rows(chances: list[list[float]], shared: float) -> dict[str, float]:
    """Power at the default: half a false alarm a month, 2 of 3 nights."""
    raised, level = alarmed(chances, 0.5, 2, 3, shared)
    nights = [chance <= level for month in chances for chance in month]
    return {"night": float(np.mean(nights)), "week": float(np.mean([any(m) for m in raised]))}


def plotted(quiet: list[dict[str, float]], power: dict[str, dict[float, dict]], path: Path) -> None:
    """Asked against measured, and power against the size of each shift."""
    from tasks.evaluation.style import BLUE, DASHES, GREY, ORANGE, PAGE, SERIES, picture

    def paint(figure) -> None:
        left, right = figure.subplots(1, 2)
        for (k, of), colour in zip(RULES, (ORANGE, BLUE), strict=True):
            rows = [row for row in quiet if (row["k"], row["of"]) == (k, of)]
            left.errorbar(
                [row["asked"] for row in rows],
                [row["measured"] for row in rows],
                [1.96 * row["error"] for row in rows],
                color=colour, marker="o", capsize=3, label=f"{k} of {of} nights",
            )  # fmt: skip
        left.plot([0, 2.2], [0, 2.2], color=GREY, linestyle="--", label="as asked")
        left.set(xlabel="false alarms asked for, a month", ylabel="measured", title="Quiet months")
        left.legend(loc="upper left")
        for at, (name, sizes) in enumerate(power.items()):
            right.plot(
                list(sizes), [each["week"] for each in sizes.values()], marker="o", label=name,
                color=SERIES[at], linestyle=DASHES[at],
            )  # fmt: skip
        right.set(xscale="log", xlabel="size of the shift", ylabel="alarm within 7 nights")
        right.xaxis.set_major_formatter("{x:g}")
        right.set(ylim=(-0.03, 1.05), title="Shifts found")
        right.legend(loc="lower right", fontsize=7.5)

    drawn_ = picture("monitoring", "Monitoring", "", (PAGE + 2.2, 3.6), paint)
    path.write_bytes(drawn_.png)


def main() -> None:
    """Print both tables, and draw the plot where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--months", type=int, default=60)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--references", type=int, default=400)
    parser.add_argument("--shifted", type=int, default=12, help="Weeks of each shift.")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    shared = asked.rows / (asked.rows + asked.references)
    began = time.perf_counter()
    with ProcessPoolExecutor(asked.workers) as workers:
        jobs = [(n, NIGHTS, asked.rows, asked.references, None) for n in range(asked.months)]
        quiet = quiet_table(list(workers.map(month, jobs)), shared)
        print("| alarm after | asked for | level of a night | conspicuous | alarms a month |")
        print("|---|---|---|---|---|")
        for row in quiet:
            print(
                f"| {row['k']} of {row['of']} | {row['asked']:g} | {row['level']:.4f} "
                f"| {row['nights']:.4f} | {row['measured']:.2f} ± {1.96 * row['error']:.2f} |"
            )
        print("\n| shift | size | conspicuous nights | alarm within 7 nights |\n|---|---|---|---|")
        power: dict[str, dict[float, dict]] = {}
        for name, (kind, sizes) in SHIFTS.items():
            for size in sizes:
                first = 10_000 + asked.months
                jobs = [
                    (first + n, 7, asked.rows, asked.references, (kind, size))
                    for n in range(asked.shifted)
                ]
                found = shift_rows(list(workers.map(month, jobs)), shared)
                power.setdefault(name, {})[size] = found
                print(f"| {name} | {size:g} | {found['night']:.2f} | {found['week']:.2f} |")
    if asked.plot:
        plotted(quiet, power, asked.plot)
    spent = time.perf_counter() - began
    print(f"\n{spent:.0f} s; load average {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
