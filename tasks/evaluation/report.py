"""The night report: one HTML file that stands alone, in light, in dark and on paper.

Nothing in it is loaded from elsewhere and no script runs: a content security policy says so,
and every text of the data is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_registry.words import counted
from tasks.config import Pipeline
from tasks.evaluation.charts import spoken
from tasks.evaluation.files import drawings, replace
from tasks.evaluation.page import image, page
from tasks.evaluation.view import context
from tasks.references import Evaluation, Night, Prepared, Snapshot, Validated

TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


def render(
    night: Night,
    evaluation: Evaluation | None,
    *,
    pipeline: Pipeline,
    snapshot: Snapshot | None = None,
    validated: Validated | None = None,
    prepared: Prepared | None = None,
    versions: Mapping[str, str] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> str:
    """The report as HTML; passwords inside URLs are masked.

    Args:
        night: Outcome, reason, verdict, candidates, seconds.
        evaluation: Metrics; None where the night ended before it.
        pipeline: Its settings, shown whole.
        snapshot: What was read; None where nothing was.
        validated: What the contract said.
        prepared: What was made of the rows.
        versions: Library to version.
        pictures: Plot name to SVG, as `files.drawings` reads them.
    """
    return page(
        TEMPLATE,
        {"metric": _metric, "count": "{:,}".format, "counted": counted, "words": spoken},
        **context(
            night,
            evaluation,
            pipeline,
            snapshot=snapshot,
            validated=validated,
            prepared=prepared,
        ),
        plots=_plots(evaluation, pictures or {}),
        versions=dict(versions or {}),
    )


def write(path: Path, night: Night, evaluation: Evaluation | None, **given: Any) -> Path:
    """Render with the pictures of the evaluation's directory and write the file whole.

    Args:
        path: Of the report; its folder is made where absent.
        night: As for `render`.
        evaluation: As for `render`.
        **given: The other arguments of `render`.
    """
    pictures = drawings(evaluation) if evaluation else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, render(night, evaluation, pictures=pictures, **given).encode())
    return path


def _metric(measured: Any) -> str:
    """Three decimals, of a number or of the value in a `Measured`."""
    return f"{getattr(measured, 'value', measured):.3f}"


def _plots(evaluation: Evaluation | None, pictures: Mapping[str, str]) -> dict[str, Any]:
    known = evaluation.plots if evaluation else ()
    return {
        plot.name: image(plot.title, plot.alt, pictures[plot.name])
        for plot in known
        if plot.name in pictures
    }
