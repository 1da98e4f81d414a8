"""Pictures of one model's answers: what it confuses, how it ranks, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.calibration import reliability
from tasks.evaluation.confusion import Counts
from tasks.evaluation.inputs import Labels, Probabilities
from tasks.evaluation.style import (
    BLUE,
    COLUMN,
    DASHES,
    GREY,
    INK,
    MUTED,
    PAPER,
    SERIES,
    Picture,
    picture,
    short,
)

READABLE_CLASSES = 20  # beyond, numbers in a confusion matrix cannot be read
CELL = 0.47 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])  # corners around its centre
CURVES = len(SERIES) - 1  # classes with a colour of their own; the others are grey
CURVE_POINTS = 300
FEW_ROWS = 20  # in a bin of the reliability diagram


def confusion_matrix(counts: Counts, classes: Sequence[str]) -> Picture:
    """Rows of each true class by what they were taken for: counts and share of the row."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.72 * len(classes) + 1.4, 3.8, 13))

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set(xlabel="predicted", ylabel="true", aspect="equal")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        _cells(axes, counts, shares)
        ticks, names = range(len(classes)), [short(name) for name in classes]
        slant = 40 if max(map(len, names)) > 8 or len(classes) > 8 else 0
        slant = 90 if len(classes) > READABLE_CLASSES else slant
        axes.set_xticks(ticks, names, rotation=slant, ha="right" if slant == 40 else "center")
        axes.set_yticks(ticks, names)
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set_ylim(len(classes) - 0.5, -0.5)

    worst = _worst_confusion(shares, classes)
    return picture("confusion", "Confusion matrix", worst, (side + 0.6, side), paint)


def _cells(axes: Any, counts: Counts, shares: NDArray[np.float64]) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    readable = len(shares) <= READABLE_CLASSES
    drawn = [cell for cell in np.ndindex(*shares.shape) if readable or counts[cell]]
    squares = [np.array(cell[::-1]) + CELL for cell in drawn]
    colours = [to_rgba(BLUE, 0.06 + 0.94 * float(shares[cell])) for cell in drawn]
    axes.add_collection(PolyCollection(squares, facecolors=colours))
    for cell in drawn if readable else ():
        if counts[cell]:
            true, predicted = cell
            text = {"ha": "center", "color": PAPER if shares[cell] > 0.5 else INK}
            axes.text(predicted, true, f"{counts[cell]:,}", va="bottom", **text)
            axes.text(predicted, true + 0.09, f"{shares[cell]:.0%}", va="top", fontsize=7.5, **text)


def _worst_confusion(shares: NDArray[np.float64], classes: Sequence[str]) -> str:
    off = shares - np.diag(np.diag(shares))
    true, predicted = divmod(int(off.argmax()), len(classes))
    if not off.any():
        return "No row of any class was taken for another."
    return (
        f"The commonest confusion: {off[true, predicted]:.0%} of {classes[true]} "
        f"taken for {classes[predicted]}."
    )


def precision_recall(
    labels: Labels, probabilities: Probabilities, classes: Sequence[str]
) -> Picture:
    """One curve a class, against all others; the classes hardest to rank are coloured."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves = {}
    for index in np.unique(labels):
        true, own = labels == index, probabilities[:, index]
        precision, recall, _ = precision_recall_curve(true, own)
        found = np.flatnonzero(np.diff(recall, append=-1))
        kept = found[np.unique(np.linspace(0, len(found) - 1, CURVE_POINTS).astype(int))]
        value = float(average_precision_score(true, own))
        curves[classes[index]] = (value, recall[kept], precision[kept])
    hardest = sorted(curves, key=lambda name: curves[name][0])
    coloured = set(hardest[:CURVES])

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        for name in sorted(set(curves) - coloured):
            style = {"color": GREY, "linewidth": 0.8, "alpha": 0.6}
            axes.plot(*curves[name][1:], drawstyle="steps-post", **style)
        for place, name in enumerate(name for name in curves if name in coloured):
            value, recall, precision = curves[name]
            style = {"color": SERIES[place], "linestyle": DASHES[place % len(DASHES)]}
            label = f"{value:.2f}  {short(name)}"
            axes.plot(recall, precision, drawstyle="steps-post", label=label, **style)
        title = "average precision" + (" (lowest)" if len(curves) > CURVES else "")
        legend = figure.legend(
            loc="outside lower center", ncols=2, title=title, title_fontsize=9, handlelength=2.6
        )
        legend.set_alignment("left")

    alt = "; ".join(f"{name} {curves[name][0]:.2f}" for name in hardest[:CURVES])
    alt = f"Average precision, hardest class first: {alt}."
    rows = -(-min(len(curves), CURVES) // 2)
    height = 3.9 + 0.2 * rows
    return picture("precision_recall", "Precision and recall", alt, (COLUMN, height), paint)


def reliability_diagram(labels: Labels, models: Mapping[str, tuple[Probabilities, str]]) -> Picture:
    """Accuracy against confidence; on the diagonal a model is as sure as it is right.

    Args:
        labels: `(rows,)` class indices.
        models: Name to `(rows, classes)` probabilities and colour; the first has its rows drawn.
    """
    found = {name: reliability(labels, given) for name, (given, _) in models.items()}

    def paint(figure: Any) -> None:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
        upper.set(ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
        for name, (_, colour) in models.items():
            each = found[name]
            filled = each.rows > 0
            style = {"color": colour, "label": f"{short(name)}  (error {each.error:.1%})"}
            upper.plot(each.confidence[filled], each.accuracy[filled], **style)
            faces = [PAPER if rows < FEW_ROWS else colour for rows in each.rows[filled]]
            points = {"s": 26, "edgecolors": colour, "facecolors": faces, "zorder": 3}
            upper.scatter(each.confidence[filled], each.accuracy[filled], **points)
        upper.legend(loc="upper left")
        _, colour = next(iter(models.values()))
        rows = next(iter(found.values())).rows
        centres = (np.arange(len(rows)) + 0.5) / len(rows)
        lower.bar(centres, rows, width=0.85 / len(rows), color=colour, alpha=0.75)
        lower.set(xlabel="confidence", ylabel="rows")
        lower.grid(visible=False, axis="x")

    errors = " and ".join(f"{name} {each.error:.1%}" for name, each in found.items())
    alt = f"Expected calibration error: {errors}. Hollow: under {FEW_ROWS} rows."
    return picture("reliability", "Reliability", alt, (COLUMN, 4.5), paint)
