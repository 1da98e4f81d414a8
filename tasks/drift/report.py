"""The drift report: one HTML file that stands alone, in the style of the night's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config import Pipeline
from tasks.drift import pictures
from tasks.evaluation.files import replace
from tasks.evaluation.page import image, page
from tasks.evaluation.style import Picture
from tasks.references import Watched

if TYPE_CHECKING:
    import pyarrow as pa

TEMPLATE = Path(__file__).parent / "templates" / "drift.html.j2"
OUTCOMES = {  # word, class of the page's style, mark
    "alarm": ("alarm", "failed", "✕"),
    "conspicuous": ("conspicuous", "skipped", "!"),
    "not judged": ("not judged", "kept", "–"),
    "quiet": ("quiet", "promoted", "✓"),
}


def outcome(watched: Watched) -> str:
    """The day in a word: alarm, conspicuous, not judged or quiet."""
    if watched.alarm:
        return "alarm"
    if watched.conspicuous:
        return "conspicuous"
    return "quiet" if watched.features else "not judged"


def write(
    path: Path,
    pipeline: Pipeline,
    watched: Watched,
    before: Sequence[Watched],
    tables: tuple[pa.Table, pa.Table] | None,
) -> Path:
    """Render and write the file whole; its folder is made where absent.

    Args:
        path: Of the report.
        pipeline: Its settings of monitoring.
        watched: The day.
        before: Earlier days, oldest first.
        tables: Logged rows and reference rows, for the pictures; None where nothing was compared.
    """
    drawn = [pictures.nights([*before, watched])]
    if tables is not None:
        drawn += [pictures.confidences(*tables), pictures.label_mix(*tables)]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, render(pipeline, watched, drawn).encode())
    return path


def render(pipeline: Pipeline, watched: Watched, drawn: Sequence[Picture]) -> str:
    """The report as HTML."""
    word, tone, mark = OUTCOMES[outcome(watched)]
    return page(
        TEMPLATE,
        pipeline=pipeline,
        watched=watched,
        outcome=word,
        tone=tone,
        mark=mark,
        sentence=watched.reason.removeprefix(f"{word}: "),
        level=f"{watched.level:.4f}",
        rows=[_row(one, watched.level) for one in watched.features],
        tiles=_tiles(watched),
        accuracies=_accuracies(watched),
        facts=_facts(pipeline, watched),
        plots={one.name: image(one.title, one.alt, one.svg) for one in drawn},
    )


def _row(moved: Any, level: float) -> dict[str, str]:
    return {
        "name": moved.feature,
        "among": f"{moved.among:.4f}",
        "alone": f"{moved.alone:.4f}",
        "times": f"{moved.statistic / moved.usual:.1f}" if moved.usual else "–",
        "said": moved.said,
        "tone": "bad" if moved.among <= level else "",
    }


def _tiles(watched: Watched) -> list[dict[str, str]]:
    tiles = [
        _tile("version", f"v{watched.version}" if watched.version else "–", "answered most rows"),
        _tile("rows", f"{watched.rows:,}", f"{watched.compared:,} compared"),
    ]
    if watched.smallest is not None:
        tone = "bad" if watched.conspicuous else "good"
        note = f"conspicuous at {watched.level:.4f} or less"
        tiles.append(_tile("smallest p, among all", f"{watched.smallest:.4f}", note, tone))
    sure = watched.estimated_accuracy
    if sure:
        note = (
            f"{sure.low:.3f} – {sure.high:.3f}; {watched.reference_accuracy:.3f} on the test rows"
        )
        tiles.append(_tile("estimated accuracy", f"{sure.value:.3f}", note))
    return tiles


def _tile(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _accuracies(watched: Watched) -> list[dict[str, str]]:
    found = []
    sure = watched.estimated_accuracy
    if sure and watched.reference_accuracy is not None:
        span = f"{sure.low:.3f} – {sure.high:.3f}"
        found = [
            _accuracy("reference", watched.reference_accuracy, "", "test rows of the night"),
            _accuracy("day, estimated", sure.value, span, "difference of confidences"),
            _accuracy(
                "day, estimated", watched.thresholded_accuracy or 0.0, "", "thresholded confidence"
            ),
        ]
    for day, (value, rows) in watched.true_accuracy.items():
        found.append(_accuracy(day, value, "", f"{rows:,} rows whose label has come"))
    return found


def _accuracy(what: str, value: float, interval: str, how: str) -> dict[str, str]:
    return {"what": what, "value": f"{value:.3f}", "interval": interval, "how": how}


def _facts(pipeline: Pipeline, watched: Watched) -> list[tuple[str, str]]:
    how = pipeline.monitoring
    return [
        ("false alarms asked for", f"{how.false_alarms_per_month:g} in 30 quiet nights"),
        ("an alarm needs", f"{how.alarm_after.k} conspicuous nights of {how.alarm_after.of}"),
        ("level of one night", f"{watched.level:.4f}"),
        ("reshufflings", f"{how.permutations:,}"),
        ("reference", f"{watched.reference_rows:,} test rows of the night that made the version"),
    ]
