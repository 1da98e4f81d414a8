"""The `monitoring` part of a pipeline file: live inputs against the training reference."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.frozen import Frozen


class Debounce(Frozen):
    """How many nights must be conspicuous before somebody is woken."""

    k: int = Field(2, ge=1, le=30, description="So many conspicuous nights ...")
    of: int = Field(3, ge=1, le=30, description="... of so many, tonight among them.")

    @model_validator(mode="after")
    def _possible(self) -> Debounce:
        if self.k > self.of:
            raise ValueError(f"{self.k} of {self.of} nights can never be; lower k or raise `of`")
        return self


class Monitoring(Frozen):
    """How live inputs are compared with the rows the model was tested on."""

    cron: str | None = Field(None, description="When it runs by itself, for the day before.")
    timezone: str = Field("UTC", description="IANA name for the cron.")
    false_alarms_per_month: float = Field(
        0.5, gt=0, le=15, description="Alarms that 30 quiet nights may raise, on average."
    )
    alarm_after: Debounce = Field(
        Debounce(), description="Conspicuous nights before an alarm: k of n."
    )
    permutations: int = Field(
        1_999, ge=199, le=100_000, description="Reshufflings behind each probability."
    )
    rows: int = Field(2_000, ge=50, description="Most rows of a day that are compared.")
    min_rows: int = Field(100, ge=20, description="A day with fewer is not judged.")
    label_days: int = Field(
        7, ge=0, le=90, description="Days back whose rows are looked for among newer labels."
    )
