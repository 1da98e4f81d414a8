"""What a pipeline says about its live scoring; *where* it is served is the environment's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.frozen import Frozen, Share

LogDay = Literal["arrival", "request"]
Redaction = Literal["nothing", "identifiers", "everything"]


class Serving(Frozen):
    """How the scoring server follows the ledger, and what it writes down of live traffic."""

    poll_seconds: float = Field(
        5.0, ge=0.1, le=300, description="Between two looks at the ledger; a webhook is quicker."
    )
    log_share: Share = Field(1.0, description="Share of answered rows that may enter the log.")
    log_rows: int = Field(
        1_000, ge=0, description="Most rows that one flush of the log holds; 0: no log."
    )
    log_seconds: float = Field(60.0, ge=1, description="Between two flushes of the log.")
    log_day: LogDay = Field(
        "arrival",
        description="The day that a logged row counts for: of its arrival, or the one that its "
        "request names in the header X-Logical-Date, for traffic that is replayed or came late.",
    )
    redact: Redaction = Field(
        "identifiers",
        description="Of logged text: nothing, identifiers (addresses, links, names, numbers), or "
        "everything; series are left out with everything.",
    )
    shadow_share: Share = Field(
        0.0, description="Share of live rows that the challenger in Staging also scores."
    )
    canary_share: Share = Field(
        0.0,
        description="Share of live traffic that a challenger answers which passed its gates and "
        "waits for a person; it stops by itself where it fails or is much slower.",
    )
