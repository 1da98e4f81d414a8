"""The `contract` part of a pipeline file: what the data must be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.frozen import Frozen, Share


class Contract(Frozen):
    """What the data must be before anything is trained on it."""

    suite: str | None = Field(
        None, description="Great Expectations suite (JSON), beside the pipeline file."
    )
    labels: tuple[str, ...] = Field((), description="Allowed classes; empty: learnt from night 1.")
    min_rows: int = Field(100, ge=1, description="Fewer rows than this stop the night.")
    min_rows_per_class: int = Field(5, ge=1, description="Fewer rows of a class stop the night.")
    min_length: int = Field(1, ge=0, description="Shortest input, in words or steps.")
    max_length: int = Field(10_000, ge=1, description="Longest input, in words or steps.")
    quarantine_budget: Share = Field(0.05, description="Share of bad rows that stops the night.")
    duplicate_budget: Share = Field(0.3, description="Share of duplicate rows that stops it.")
    conflicting_labels: Literal["quarantine", "tolerate"] = Field(
        "quarantine", description="Equal inputs with different labels."
    )
    new_class: Literal["stop", "quarantine"] = Field("stop", description="An unknown label.")
    vanished_class: Literal["stop", "tolerate"] = Field("stop", description="A class with no row.")
    min_share_of_recent_rows: Share = Field(
        0.5, description="Rows of tonight over the median of the last nights; below it, stop."
    )
    max_age_hours: float | None = Field(
        None, gt=0, description="Age of the newest row at the logical date; above it, stop."
    )
