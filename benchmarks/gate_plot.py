"""The picture of `benchmarks.gate`: what a class gate costs, and what spending costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.evaluation.style import BLUE, GREY, INK, MAGENTA, MUTED, ORANGE, RED, SETTINGS, TEAL

Row = Sequence[object]
COLOURS = {
    "fall excluded": BLUE,
    "fall excluded, Holm's first step": TEAL,
    "no significant fall (Holm)": ORANGE,
}
OURS = "first half, then even (ours)"


def draw(tables: dict[str, list[Row]], path: Path) -> None:
    """Two panels: the frontier of class gates, and schedules by error and power."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(10.4, 4.4), layout="constrained", dpi=110)
        left, right = figure.subplots(1, 2)
        _frontier(left, tables["frontier"])
        _schedules(right, tables["power"], tables["wear"])
        figure.savefig(path)


def _frontier(axes: Any, rows: list[Row]) -> None:
    for family, colour in COLOURS.items():
        points = [(_share(row[2]), _share(row[3])) for row in rows if row[0] == family]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=family, markersize=4)
    ours = next(row for row in rows if row[0] == "ours")
    place = (_share(ours[2]), _share(ours[3]))
    axes.plot(*place, "*", color=RED, markersize=16, label="recall_holds, defaults")
    axes.axvline(5, color=MUTED, linewidth=1, linestyle=":")
    axes.set(
        title="A rare class of 40 rows: what protects it costs power",
        xlabel="its fall of 20 points passes, % of nights (asked: at most 5)",
        ylabel="3 points better in every class passes, %",
        xlim=(-1, 40),
        ylim=(30, 101),
    )
    axes.legend(loc="lower right")


def _schedules(axes: Any, power: list[Row], wear: list[Row]) -> None:
    at_ten = {row[0]: _share(row[5]) for row in power}
    wrong = {row[0]: _share(row[1]) for row in wear}
    colours = (BLUE, TEAL, ORANGE, MAGENTA, GREY, INK)
    for (name, share), colour in zip(at_ten.items(), colours, strict=True):
        ours = name == OURS
        axes.plot(
            wrong[name], share, "*" if ours else "o",
            color=RED if ours else colour, markersize=16 if ours else 7, label=name,
        )  # fmt: skip
    axes.axvline(5, color=MUTED, linewidth=1, linestyle=":")
    axes.set(
        title="One test set for a year: schedules of the error",
        xlabel="sets that let an equally good model through, %",
        ylabel="3 points better shows at the tenth look, %",
        xlim=(-3, 103),
        ylim=(60, 102),
    )
    axes.legend(loc="lower right")


def _share(cell: object) -> float:
    return float(str(cell).split()[0])
