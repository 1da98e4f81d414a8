"""The page of a demonstration: one HTML file that stands alone, in the style of the night's."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demonstration import pictures
from tasks.demonstration.measured import Term, accuracies, order, rates, terms
from tasks.demonstration.story import Story
from tasks.drift import pictures as drift
from tasks.evaluation.files import replace
from tasks.evaluation.page import image, page
from tasks.evaluation.style import Picture

TEMPLATE = Path(__file__).parent / "templates" / "demonstration.html.j2"
FEW_ROWS = 50  # that a version answered of a day; fewer say nothing
NARROWEST_SECONDS, MOST_BUCKETS = 1.0, 180


def write(path: Path, story: Story) -> Path:
    """Render and write the file whole."""
    replace(path, render(story).encode())
    return path


def render(story: Story) -> str:
    """The page as HTML; a story that ended early is told as far as it went."""
    served = terms(story.asked, order(story.history))
    return page(
        TEMPLATE,
        {"clock": _clock, "count": "{:,}".format},
        story=story,
        broken=story.broken,
        events=sorted(story.events, key=lambda one: one.at),
        promises=sum(len(act.promises) for act in story.acts),
        minutes=f"{story.acts[-1].ended / 60:.1f}" if story.acts else "0",
        tiles=_tiles(story, served),
        history=[_decision(one) for one in story.history],
        plots={one.name: image(one.title, one.alt, one.svg) for one in drawn(story, served)},
        written=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def drawn(story: Story, served: list[Term]) -> list[Picture]:
    """The pictures that there is something to draw for."""
    found = []
    if story.acts:
        found.append(pictures.timeline(story.acts, story.events, served))
    if story.asked:
        width = _width(story)
        found.append(pictures.load(rates(story.asked, width), served, width))
    measured = [one for one in accuracies(story.asked) if one.rows >= FEW_ROWS]
    if measured:
        found.append(pictures.accuracy(measured, story.drift))
    if any(one.smallest is not None for one in story.watched):
        found.append(drift.nights(story.watched))
    return found


def _width(story: Story) -> float:
    """Seconds of a bucket of the load's picture."""
    began = [one.began for one in story.asked]
    return max(NARROWEST_SECONDS, float(np.ceil((max(began) - min(began)) / MOST_BUCKETS)))


def _tiles(story: Story, served: list[Term]) -> list[dict[str, str]]:
    failed = sum(one.version is None for one in story.asked)
    milliseconds = [1_000 * one.seconds for one in story.asked if one.version]
    swaps = max(0, len(served) - 1)
    tiles = [
        _tile("requests", f"{len(story.asked):,}", "each with other tickets"),
        _tile("failed", str(failed), "none is asked twice", "bad" if failed else "good"),
        _tile("versions swapped live", str(swaps), "by promotion and rollback"),
    ]
    if milliseconds:
        median, slow = np.quantile(milliseconds, (0.5, 0.99))
        note = f"median {median:.1f} ms, while nights trained beside"
        tiles.append(_tile("p99 latency", f"{slow:.0f} ms", note))
    ends = Counter(
        f"refused by {n.refused_by}" if n.refused_by else n.outcome for n in story.nights
    )
    note = ", ".join(f"{count} {word}" for word, count in ends.items())
    tiles.append(_tile("nights", str(len(story.nights)), note or "none"))
    return tiles


def _tile(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _decision(one: dict[str, Any]) -> dict[str, str]:
    before, after = (f"v{one[key]}" if one[key] else "–" for key in ("before", "after"))
    return {
        "number": str(one["number"]),
        "at": str(one["at"])[:19].replace("T", " "),
        "kind": str(one["kind"]),
        "version": f"v{one['version']}" if one["version"] else "–",
        "champion": f"{before} → {after}" if before != after else f"{after} stays",
        "by": str(one["by"]),
        "why": str(one["why"]),
    }


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
