"""What a search for settings found, as it is handed on and kept for later nights."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tasks.frozen import Frozen


class Trial(Frozen):
    """Settings that were tried."""

    number: int
    settings: dict[str, Any] = Field(description="By name, as the search drew them.")
    candidate: dict[str, Any] = Field(description="The same as a candidate of a pipeline file.")
    state: Literal["complete", "pruned", "failed"]
    value: float | None = Field(
        None, description="The pipeline's metric on held-out train rows, where it ended whole."
    )
    seconds: float = 0.0
    why: str | None = Field(None, description="Why it is not complete.")


class Tuned(Frozen):
    """A search and its winner."""

    logical_date: str = Field(description="Of the night that searched.")
    metric: str
    candidate: dict[str, Any] | None = Field(
        None, description="The winner; None where nothing tried is better than what there was."
    )
    value: float | None = Field(None, description="Of the best trial.")
    own: float | None = Field(None, description="Of the best of the pipeline's own candidates.")
    reason: str = Field(description="One sentence with numbers.")
    trials: tuple[Trial, ...] = ()

    def best(self, count: int) -> list[Trial]:
        """The complete trials with the highest values, the best first."""
        whole = [trial for trial in self.trials if trial.value is not None]
        return sorted(whole, key=lambda trial: (-(trial.value or 0.0), trial.number))[:count]
