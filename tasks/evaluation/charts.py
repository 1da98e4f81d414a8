"""Pictures of a night's candidates: how they learnt, how they compare, on what classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from model_registry.words import counted
from tasks.evaluation.style import (
    CHALLENGER,
    CHAMPION,
    COLUMN,
    DASHES,
    GREY,
    PAGE,
    SERIES,
    Picture,
    picture,
    short,
)
from tasks.references import ClassScores, Measured, Scored

Epochs = Sequence[Mapping[str, float]]
WORDS = {"macro_f1": "macro-F1", "weighted_f1": "weighted F1", "mcc": "Matthews correlation"}


def spoken(metric: str) -> str:
    """A metric's name as people write it."""
    return WORDS.get(metric, metric.replace("_", " "))


def class_counts(counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> Picture:
    """Train rows of each class before and after every distinct resampling of the night.

    Args:
        counts: Candidate to class to rows before and after; one or more candidates.
    """
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for name, table in counts.items():
        groups.setdefault(tuple(table.values()), []).append(name)
    shown = list(groups.items())[: len(SERIES) - 1]
    classes = list(next(iter(counts.values())))
    before = [rows for rows, _ in shown[0][0]]
    after = {
        f"after, {short(', '.join(names))}": [rows for _, rows in table]
        for table, names in shown
        if any(first != second for first, second in table)
    }

    def paint(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        bars = {"before resampling" if after else "rows (no resampling)": before, **after}
        height, places = 0.8 / len(bars), np.arange(len(classes))
        for place, (label, rows) in enumerate(bars.items()):
            colour = GREY if not place else SERIES[place - 1]
            where = places + (place - (len(bars) - 1) / 2) * height
            drawn = axes.barh(where, rows, height * 0.88, color=colour, label=label)
            axes.bar_label(drawn, [f"{each:,}" for each in rows], padding=3, fontsize=8)
        axes.set_yticks(places, [short(name) for name in classes])
        axes.set(xlabel="train rows", ylim=(len(classes) - 0.5, -0.5))
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    height = 1.2 + len(classes) * (0.25 + 0.22 * (1 + len(after)))
    smallest = int(np.argmin(before))
    alt = f"{classes[smallest]} is the smallest class: {counted(before[smallest], 'train row')}."
    return picture("class_counts", "Train rows by class", alt, (COLUMN, min(height, 12)), paint)


def learning_curves(histories: Mapping[str, Epochs], metric: str) -> Picture:
    """Training loss and validation metric of every candidate, epoch by epoch.

    Args:
        histories: Candidate to its epochs, each with `loss` and `validation_METRIC`.
        metric: The pipeline's.
    """
    panels = {"training loss": "loss", f"validation {spoken(metric)}": f"validation_{metric}"}

    def paint(figure: Any) -> None:
        for axes, (title, key) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            axes.set(title=title, xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            for place, (name, epochs) in enumerate(histories.items()):
                values = [epoch.get(key, np.nan) for epoch in epochs]
                style = {
                    "color": SERIES[place % len(SERIES)],
                    "linestyle": DASHES[place % len(DASHES)],
                    "marker": "o" if len(values) < 3 else None,
                }
                axes.plot(range(1, len(values) + 1), values, label=short(name), **style)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)

    longest = max((len(epochs) for epochs in histories.values()), default=0)
    alt = f"{counted(len(histories), 'candidate')}, at most {counted(longest, 'epoch')}."
    rows = -(-len(histories) // 4)
    return picture("learning_curves", "Learning curves", alt, (9, 3.3 + 0.22 * rows), paint)


def comparison(scored: Sequence[Scored], champion: Measured | None, metric: str) -> Picture:
    """The metric of every candidate with its interval, on validation and on test rows."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(scored))
        if champion:
            axes.axvspan(champion.low, champion.high, color=CHAMPION, alpha=0.14, linewidth=0)
            axes.axvline(champion.value, color=CHAMPION, label="champion (test)")
        validation = (each.validation[metric] for each in scored)
        test = (each.test[metric] for each in scored)
        chooses = {"color": GREY, "label": "validation (chooses)", "fmt": "s"}
        _dots(axes, places - 0.13, validation, **chooses)
        judges = {"color": CHALLENGER, "label": "test (judges)", "fmt": "o"}
        _dots(axes, places + 0.13, test, **judges)
        axes.set_yticks(places, [short(each.name) for each in scored])
        axes.set(xlabel=spoken(metric), ylim=(len(scored) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)

    best = scored[0]
    own = f"{best.validation[metric].value:.3f}"
    alt = f"Challenger: {best.name}, {spoken(metric)} {own} on validation rows."
    if f"{best.chosen_by:.3f}" != own:
        alt = f"{alt[:-1]}; chosen by {best.chosen_by:.3f}, on all rows its folds held out."
    height = min(1.5 + 0.55 * len(scored), 12)
    return picture("candidates", "Candidates compared", alt, (PAGE, height), paint)


def _dots(axes: Any, places: Any, measured: Iterable[Measured], **style: str) -> None:
    """A dot a value with a bar over its interval."""
    known = list(measured)
    values = np.array([each.value for each in known])
    reach = [[each.value - each.low for each in known], [each.high - each.value for each in known]]
    axes.errorbar(values, places, xerr=reach, markersize=6, elinewidth=1.6, **style)


def class_recall(challenger: Sequence[ClassScores], champion: Sequence[ClassScores]) -> Picture:
    """Recall of each class, challenger against champion, with Wilson intervals."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(challenger))
        shift = 0.14 if champion else 0.0
        recall = (each.recall for each in challenger)
        _dots(axes, places - shift, recall, color=CHALLENGER, label="challenger", fmt="o")
        if champion:
            recall = (each.recall for each in champion)
            _dots(axes, places + shift, recall, color=CHAMPION, label="champion", fmt="s")
        names = [f"{short(each.name)}  ({each.support:,})" for each in challenger]
        axes.set_yticks(places, names)
        axes.set(xlabel="recall", xlim=(0, 1.02), ylim=(len(challenger) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    worst = min(challenger, key=lambda each: each.recall.value)
    alt = f"Lowest recall of the challenger: {worst.name}, {worst.recall.value:.0%}."
    height = min(1.4 + 0.5 * len(challenger), 12)
    return picture("class_recall", "Recall by class", alt, (COLUMN, height), paint)
