"""The table, the plan and the picture of `benchmarks.memory`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import fill
from tasks.evaluation.style import BLUE, MAGENTA, MUTED, ORANGE, SETTINGS, TEAL

PAGE = Path(__file__).with_name("MEMORY.md")
PICTURE = PAGE.parents[1] / "docs" / "memory.png"
COLOURS = {
    "init": MAGENTA,
    "ingest": BLUE,
    "validate": ORANGE,
    "prepare": TEAL,
    "score": MUTED,
}
PLANNED = 100_000_000
LINE_FROM = 1_000_000  # rows from which buffers are full, and only what grows with rows grows

# Before rows came in parts: the same machine, data and stages, exact duplicates only.
BEFORE = {
    "init": {100_000: 105, 300_000: 354, 1_000_000: 1_063},
    "ingest": {100_000: 162, 300_000: 377, 1_000_000: 941, 3_000_000: 2_593},
    "validate": {100_000: 162, 300_000: 351, 1_000_000: 981, 3_000_000: 2_870},
    "prepare": {100_000: 159, 300_000: 258, 1_000_000: 719, 3_000_000: 2_052},
}


def write(measured: Sequence[dict[str, Any]]) -> None:
    """Fill the page and draw its picture."""
    last = {(one["stage"], one["rows"]): one for one in measured if one["near_duplicates"] == 1}
    curves: dict[str, dict[int, dict[str, Any]]] = {}
    for (stage, rows), one in sorted(last.items()):
        curves.setdefault(stage, {})[rows] = one
    curves = {stage: curves[stage] for stage in COLOURS if stage in curves}
    fill(PAGE, "measured", "\n".join(_measured(curves)))
    fill(PAGE, "planned", "\n".join(_planned(curves)))
    _draw(curves)


def _measured(curves: dict[str, dict[int, dict[str, Any]]]) -> Iterator[str]:
    yield "| stage | rows | peak above imports | before | bytes a row | processor | load |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for stage, curve in curves.items():
        for rows, one in curve.items():
            before = BEFORE.get(stage, {}).get(rows)
            yield (
                f"| {stage} | {rows:,} | {one['peak'] / 2**20:,.0f} MiB | "
                f"{f'{before:,} MiB' if before else ''} | {one['peak'] / rows:,.0f} | "
                f"{one['cpu']:,.0f} s | {one['load']:.1f} |"
            )


def _planned(curves: dict[str, dict[int, dict[str, Any]]]) -> Iterator[str]:
    yield "| stage | constant | bytes a row | memory | processor |"
    yield "|---|---:|---:|---:|---:|"
    for stage, curve in curves.items():
        slope, constant = line({rows: one["peak"] for rows, one in curve.items()})
        cpu, least = line({rows: one["cpu"] for rows, one in curve.items()})
        memory = (constant + slope * PLANNED) / 2**30
        hours = (least + cpu * PLANNED) / 3600
        yield (
            f"| {stage} | {constant / 2**20:,.0f} MiB | {slope:,.0f} | {memory:,.1f} GiB | "
            f"{hours:.1f} h |"
        )


def line(points: dict[int, float]) -> tuple[float, float]:
    """Slope and constant of the line through sizes from LINE_FROM on; level where it would fall."""
    large = {rows: value for rows, value in points.items() if rows >= LINE_FROM}
    slope, constant = np.polyfit(list(large), list(large.values()), 1)
    return (float(slope), float(constant)) if slope > 0 else (0.0, max(large.values()))


def _draw(curves: dict[str, dict[int, dict[str, Any]]]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.4, 4.6), layout="constrained", dpi=110)
        axes = figure.subplots()
        for stage, curve in curves.items():
            colour = COLOURS[stage]
            gib = [one["peak"] / 2**30 for one in curve.values()]
            axes.plot(list(curve), gib, "o-", color=colour, label=stage, markersize=4)
            before = BEFORE.get(stage, {})
            old = [mib / 2**10 for mib in before.values()]
            if before:
                axes.plot(list(before), old, "--", color=colour, lw=1, label=f"{stage}, before")
            slope, constant = line({rows: one["peak"] for rows, one in curve.items()})
            planned = [max(curve), PLANNED]
            memory = [(constant + slope * rows) / 2**30 for rows in planned]
            axes.plot(planned, memory, ":", color=colour, linewidth=1.2)
            axes.plot(PLANNED, memory[1], "s", color=colour, markersize=5, fillstyle="none")
        axes.set(
            title="Peak memory above the imports; dotted: planned from the line",
            xlabel="rows of about 85 characters",
            ylabel="GiB",
            xscale="log",
            yscale="log",
        )
        axes.xaxis.set_major_formatter(lambda rows, _: f"{rows:,.0f}")
        axes.yaxis.set_major_formatter(lambda gib, _: f"{gib:g}")
        axes.legend(loc="upper left", ncols=2)
        figure.savefig(PICTURE, metadata={"Software": None})
