"""The `policy.probation` part of a pipeline file: how a new champion is watched."""

from __future__ import annotations

from pydantic import Field

from tasks.frozen import Frozen


class Probation(Frozen):
    """New labelled rows judge champion and predecessor again; a worse champion is demoted."""

    nights: int = Field(
        7, ge=0, le=90, description="Nights with new rows enough that watch a champion; 0: off."
    )
    min_rows: int = Field(
        100, ge=20, description="Fewer rows that neither version learnt from are not judged."
    )
    rows: int = Field(5_000, ge=20, description="Most rows that are scored, drawn evenly.")
    alpha: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Chance that a probation demotes a champion that is no worse.",
    )
    margin: float = Field(0.0, ge=0, lt=1, description="A loss of the metric that is borne.")
