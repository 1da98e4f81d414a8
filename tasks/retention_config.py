"""The `retention` part of a pipeline file: what is kept, and for how long."""

from __future__ import annotations

from pydantic import Field

from tasks.frozen import Frozen


class Retention(Frozen):
    """What `nocturne gc` leaves; whatever the ledger needs stays beside it."""

    every_night: bool = Field(
        default=False, description="A night ends with it; false: only `nocturne gc` deletes."
    )
    nights: int = Field(
        30, ge=1, description="Newest nights whose rows, versions, runs and reports are kept."
    )
    versions: int = Field(
        5, ge=1, description="Earlier champions that can be gone back to, the last one included."
    )
    live_days: int = Field(
        30, ge=1, description="Newest days of logged live inputs, with their drift reports."
    )
    safe_hours: float = Field(
        24.0, ge=1, description="Nothing that was written within so many hours is deleted."
    )
