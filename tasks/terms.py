"""A pipeline's contract in the words of `expectations`, which knows no pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from expectations.terms import Terms
from tasks.config import Pipeline


def terms_of(
    pipeline: Pipeline,
    as_of: datetime,
    learnt: Iterable[str] = (),
    *,
    now: datetime | None = None,
) -> Terms:
    """The contract for one night.

    Args:
        pipeline: The pipeline.
        as_of: End of the logical date, UTC.
        learnt: Classes of earlier nights, allowed where the contract names none.
        now: When the check runs; None: after the logical date.
    """
    contract, columns = pipeline.contract, pipeline.columns
    sources = {"label": columns.label, "text": columns.text, "row_id": columns.id}
    sources |= {"time": columns.time, "group": columns.group, "split": columns.split}
    sources["series"] = ", ".join(columns.sequence)
    parts = [part for part in ("time", "group", "split") if sources[part]]
    return Terms(
        kind=pipeline.kind,
        as_of=as_of,
        now=now,
        labels=contract.labels or tuple(sorted(set(learnt))),
        required=(*parts, *pipeline.evaluation.slices),
        sources={part: name for part, name in sources.items() if name},
        channels=len(columns.sequence) if len(columns.sequence) > 1 else None,
        **contract.model_dump(exclude={"suite", "labels"}),
    )
