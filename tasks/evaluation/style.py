"""How every picture looks, on white paper and on a dark page.

Figures are made without pyplot, so that nothing global is kept. The SVG names its colours by
CSS variables with a dark variant, and its text stays text in the reader's own font.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Colour-blind safe: after Paul Tol's "vibrant" scheme, https://personal.sron.nl/~pault/
BLUE, ORANGE, TEAL, MAGENTA, CYAN = "#0077bb", "#ee7733", "#009988", "#cc3377", "#33a5dd"
RED, GREY = "#bb3311", "#7d858d"
INK, MUTED, GRID, PAPER = "#1c2227", "#5c6670", "#dde2e7", "#ffffff"
SERIES = (BLUE, ORANGE, TEAL, MAGENTA, CYAN, RED, GREY)
DASHES = ("-", "--", "-.", ":")
CHALLENGER, CHAMPION = BLUE, ORANGE

DARK = {
    BLUE: "#4aa8e8",
    ORANGE: "#f59a5f",
    TEAL: "#2cc4b0",
    MAGENTA: "#ee79a8",
    CYAN: "#7fd0f5",
    RED: "#f0765a",
    GREY: "#9aa3ac",
    INK: "#e8ebee",
    MUTED: "#a3adb7",
    GRID: "#363e47",
    PAPER: "#181c21",
}
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"

SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.9,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
LONGEST_NAME = 26
COLUMN, PAGE = 5.2, 7.6  # inches: half and whole width of the report
DOTS_PER_INCH = 130


@dataclass(frozen=True)
class Picture:
    """One finished plot.

    Attributes:
        name: File name without its ending.
        title: What it is.
        alt: What it shows, for who cannot see it.
        png: On white, for files and MLflow.
        svg: Transparent, following the reader's light or dark scheme.
    """

    name: str
    title: str
    alt: str
    png: bytes
    svg: str


def picture(
    name: str, title: str, alt: str, size: tuple[float, float], paint: Callable[[Any], None]
) -> Picture:
    """Make a figure, let `paint` draw on it and export it.

    Args:
        name: File name without its ending.
        title: What it is; not drawn.
        alt: What it shows, for who cannot see it.
        size: Width and height in inches.
        paint: Draws on an empty `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    with _styled(name):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        png = _png(figure)
        figure.set_layout_engine("none")  # solved once; the second file keeps the places
        return Picture(name, title, alt, png, _svg(figure))


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


@contextmanager
def _styled(salt: str) -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context({**SETTINGS, "svg.hashsalt": salt}), warnings.catch_warnings():
        # A class name in a script the bundled font lacks: boxes in the PNG, right in the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Any) -> str:
    """The figure as one `<svg>` element without prologue, date or tool name."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    head, opened, body = text[text.index("<svg") :].partition(">")
    named = re.sub("#[0-9a-f]{6}", lambda found: _variable(found[0]), body)
    named = named.replace("'DejaVu Sans'", FONT)
    return f"{head}{opened}\n{_scheme()}{named}"


def _variable(colour: str) -> str:
    return f"var(--c{colour[1:]})" if colour in DARK else colour


def _scheme() -> str:
    light = "".join(f"--c{colour[1:]}:{colour};" for colour in DARK)
    dark = "".join(f"--c{light[1:]}:{colour};" for light, colour in DARK.items())
    return f"<style>svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}</style>"
