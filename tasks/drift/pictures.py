"""Pictures of the drift report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.drift.looks import confidence
from tasks.evaluation.style import (
    BLUE,
    COLUMN,
    GREY,
    ORANGE,
    PAGE,
    RED,
    Picture,
    picture,
    short,
)
from tasks.references import Watched

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 20
LEAST_CHANCE = 1e-4


def nights(watched: Sequence[Watched]) -> Picture:
    """The smallest probability of every night, with the level it is held against.

    Args:
        watched: Days in order; at least one.
    """
    judged = [one for one in watched if one.smallest is not None]
    raised = [one.logical_date for one in judged if one.alarm]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(judged))
        values = [max(one.smallest or 1.0, LEAST_CHANCE) for one in judged]
        colours = [RED if one.alarm else ORANGE if one.conspicuous else BLUE for one in judged]
        levels = [one.level for one in judged]
        axes.hlines(levels, places - 0.5, places + 0.5, color=GREY, linestyle="--", label="level")
        axes.plot(places, values, color=GREY, linewidth=0.8)
        axes.scatter(places, values, c=colours, s=34, zorder=3)
        axes.set(yscale="log", ylabel="smallest p, among all", ylim=(LEAST_CHANCE / 2, 1.6))
        axes.yaxis.set_major_formatter("{x:g}")
        step = max(1, len(judged) // 8)
        axes.set_xticks(places[::step], [one.logical_date[5:] for one in judged[::step]])
        axes.legend(loc="lower left")

    alt = f"{len(judged)} judged days, {sum(one.conspicuous for one in judged)} conspicuous, "
    alt += f"alarms: {', '.join(raised) or 'none'}."
    return picture("nights", "Smallest p, night by night", alt, (PAGE + 1.4, 2.6), paint)


def confidences(day: pa.Table, reference: pa.Table) -> Picture:
    """How sure the model is, on the day and on the reference rows."""
    sides = {"reference": confidence(reference), "day": confidence(day)}

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        edges = np.linspace(0, 1, 26)
        for (name, values), colour in zip(sides.items(), (GREY, BLUE), strict=True):
            weights = np.full(len(values), 1 / len(values))
            axes.hist(
                values, edges, weights=weights, histtype="step", linewidth=1.9, color=colour,
                label=f"{name}, mean {values.mean():.3f}",
            )  # fmt: skip
        axes.set(xlabel="confidence", ylabel="share of rows", xlim=(0, 1))
        axes.legend(loc="upper left")

    means = {name: float(values.mean()) for name, values in sides.items()}
    alt = f"Mean {means['reference']:.3f} on the reference, {means['day']:.3f} on the day."
    return picture("confidence", "Confidence", alt, (COLUMN, 2.9), paint)


def label_mix(day: pa.Table, reference: pa.Table) -> Picture:
    """Share of rows that each class is answered with, on both sides."""
    counts = [Counter(table.column("label").to_pylist()) for table in (reference, day)]
    classes = [name for name, _ in (counts[0] + counts[1]).most_common(MOST_CLASSES)]
    shares = [[count[name] / max(count.total(), 1) for name in classes] for count in counts]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(classes))
        axes.barh(places - 0.19, shares[0], 0.36, color=GREY, label="reference")
        axes.barh(places + 0.19, shares[1], 0.36, color=BLUE, label="day")
        axes.set_yticks(places, [short(str(name)) for name in classes])
        axes.set(xlabel="share of answers", ylim=(len(classes) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower right")

    moves = np.abs(np.subtract(shares[1], shares[0]))
    most = int(moves.argmax())
    alt = f"{classes[most]} moved most: {shares[0][most]:.1%} before, {shares[1][most]:.1%} now."
    height = 1.1 + 0.42 * len(classes)
    return picture("label_mix", "Answered classes", alt, (COLUMN, min(height, 8)), paint)
