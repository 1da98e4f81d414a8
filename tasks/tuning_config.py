"""The `tune` part of a pipeline file: how long a night searches for better settings."""

from __future__ import annotations

from pydantic import Field

from tasks.frozen import Frozen

TUNED = "tuned"  # the candidate that has the settings a search found


class Tuning(Frozen):
    """A search over architectures, resampling and hyperparameters, on train rows alone."""

    minutes: float = Field(
        0.0,
        ge=0,
        description="A night searches so long; what wins is the candidate `tuned`. 0: no search.",
    )
    trials: int | None = Field(
        None, ge=1, description="Most settings that are tried; null: as many as the time allows."
    )
    every_days: int = Field(
        1, ge=1, description="Nights sooner after a search train what it found, and search not."
    )
