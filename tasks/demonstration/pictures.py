"""Pictures of a demonstration: what happened when, how requests fared, how right answers were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import chain
from typing import Any

import numpy as np

from tasks.demonstration.measured import Accuracy, Rates, Term
from tasks.demonstration.story import Act, Event
from tasks.evaluation.style import (
    BLUE,
    CYAN,
    GREY,
    INK,
    MAGENTA,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    TEAL,
    Picture,
    picture,
)

WIDE = 10.2
TONES = {"good": TEAL, "bad": RED, "warn": ORANGE, "calm": GREY}
COLOURS = (ORANGE, BLUE, TEAL, MAGENTA, CYAN)


def colour_of(version: str, versions: Sequence[str]) -> str:
    """Of a version: the first is the champion's orange, the second the challenger's blue."""
    return COLOURS[versions.index(version) % len(COLOURS)]


def timeline(acts: Sequence[Act], events: Sequence[Event], served: Sequence[Term]) -> Picture:
    """Acts as bars, events as marks, and who answered below them.

    Args:
        acts: In their order; at least one.
        events: Of any act.
        served: Terms of versions.
    """
    versions = list(dict.fromkeys(term.version for term in served))
    end = max([*(act.ended for act in acts), *(term.ended for term in served)])

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for place, act in enumerate(acts):
            length = max(act.ended - act.began, 0.004 * end)
            axes.barh(place, length, 0.52, act.began, color=GREY, alpha=0.35, linewidth=0)
            _label(axes, act, place, end)
        _events(axes, acts, events)
        bottom = len(acts)
        for term in served:
            axes.barh(
                bottom, term.ended - term.began, 0.52, term.began,
                color=colour_of(term.version, versions), linewidth=0,
            )  # fmt: skip
            if term.ended - term.began > 0.03 * end:
                middle = (term.began + term.ended) / 2
                text = {"ha": "center", "va": "center", "color": PAPER, "weight": "bold"}
                axes.text(middle, bottom, f"v{term.version}", **text)
        axes.set_yticks([bottom] if served else [], ["answers"] if served else [])
        axes.set(xlabel="minutes:seconds", xlim=(0, 1.01 * end), ylim=(bottom + 0.6, -0.6))
        axes.grid(visible=False, axis="y")
        _minutes(axes)

    alt = f"{len(acts)} acts and {len(events)} events in {end / 60:.1f} minutes."
    height = 1.2 + 0.36 * (len(acts) + 1)
    return picture("timeline", "What happened when", alt, (WIDE, height), paint)


def _label(axes: Any, act: Act, place: int, end: float) -> None:
    """The title of an act, on the side of its bar where there is room."""
    late = (act.began + act.ended) / 2 > 0.5 * end
    at = act.began if late else act.ended
    text = {"ha": "right" if late else "left", "va": "center", "fontsize": 9, "color": INK}
    shift = {"xytext": (-12 if late else 12, 0), "textcoords": "offset points"}
    axes.annotate(act.title, (at, place), **shift, **text)


def _events(axes: Any, acts: Sequence[Act], events: Sequence[Event]) -> None:
    for one in events:
        inside = [place for place, act in enumerate(acts) if act.began <= one.at <= act.ended]
        if inside:
            style = {"s": 46, "color": TONES[one.tone], "edgecolors": PAPER, "zorder": 4}
            axes.scatter([one.at], [inside[0]], **style)


def load(found: Rates, served: Sequence[Term], width: float) -> Picture:
    """Answers a second by version, and latency, with the moments at which versions changed."""
    versions = list(dict.fromkeys(term.version for term in served)) or list(found.answered)

    def paint(figure: Any) -> None:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(1, 1.1))
        bottom = np.zeros(len(found.times))
        for version in (name for name in versions if name in found.answered):
            values = found.answered[version]
            style = {"color": colour_of(version, versions), "label": f"answered by v{version}"}
            upper.bar(found.times, values, 0.96 * width, bottom, linewidth=0, **style)
            bottom = bottom + values
        if found.failed.any():
            style = {"color": RED, "label": "failed"}
            upper.bar(found.times, found.failed, 0.96 * width, bottom, **style)
        upper.set(ylabel="requests a second")
        upper.grid(visible=False, axis="x")
        lower.plot(found.times, found.p99, color=INK, linewidth=1.4, label="p99")
        lower.plot(found.times, found.median, color=GREY, linewidth=1.4, label="median")
        lower.set(xlabel="minutes:seconds", ylabel="milliseconds", yscale="log")
        _round_numbers(lower)
        for term in served[1:]:
            for axes in (upper, lower):
                axes.axvline(term.began, color=MUTED, linewidth=1, linestyle="--")
            middle = {"ha": "center", "va": "bottom", "fontsize": 8.5, "color": MUTED}
            top = upper.get_xaxis_transform()
            upper.text(term.began, 1.01, f"v{term.version}", transform=top, **middle)
        _minutes(lower)
        handles = [axes.get_legend_handles_labels() for axes in (upper, lower)]
        drawn, names = (list(chain(*parts)) for parts in zip(*handles, strict=True))
        figure.legend(drawn, names, loc="outside lower center", ncols=5)

    worst = float(np.nanmax(found.p99)) if np.isfinite(found.p99).any() else 0.0
    alt = f"{len(served)} terms of versions; p99 of {width:g} s at most {worst:.0f} ms; "
    alt += f"{round(float(found.failed.sum()) * width)} requests failed."
    return picture("load", "Requests a second, and latency", alt, (WIDE, 4.6), paint)


def accuracy(found: Sequence[Accuracy], drift: date) -> Picture:
    """Live accuracy of every day, by version, with 95 % Wilson intervals.

    Args:
        found: Of each day and version; at least one.
        drift: First day of the new language.
    """
    days = sorted({one.day for one in found})
    versions = sorted({one.version for one in found})

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for place, version in enumerate(versions):
            own = [one for one in found if one.version == version]
            shift = 0.07 * (place - (len(versions) - 1) / 2)
            places = [days.index(one.day) + shift for one in own]
            values = [one.value for one in own]
            reach = [[one.value - one.low for one in own], [one.high - one.value for one in own]]
            style = {"color": colour_of(version, versions), "label": f"v{version}"}
            axes.errorbar(places, values, reach, fmt="o-", markersize=6, elinewidth=1.6, **style)
        if days[0] < drift <= days[-1]:
            at = sum(day < drift for day in days) - 0.5
            axes.axvline(at, color=RED, linewidth=1.2, linestyle="--")
            text = {"color": RED, "fontsize": 9, "va": "top"}
            axes.text(at + 0.05, axes.get_ylim()[1], "the language changes", **text)
        axes.set_xticks(range(len(days)), [f"{day:%a %d %b}" for day in days])
        axes.set(ylabel="share answered rightly", xlim=(-0.5, len(days) - 0.5))
        axes.yaxis.set_major_formatter("{x:.2f}")
        axes.grid(visible=False, axis="x")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)

    said = (f"{one.day:%a} v{one.version} {one.value:.3f}" for one in found)
    alt = f"By the stream's own topics: {', '.join(said)}."
    return picture("accuracy", "Live accuracy, day by day", alt, (WIDE, 3.6), paint)


def _round_numbers(axes: Any) -> None:
    """1, 2, 5, 10 on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _minutes(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    steps = [1, 1.5, 3, 6, 10]
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
