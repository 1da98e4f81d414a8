"""What a request may cost, and how it is told that it asked for more.

Refusal (Exception)
├── Overloaded    503: more work waits than can be done in time; ask again later
└── DeadlinePassed  503: it waited too long; ask again later
"""

from __future__ import annotations

BODY_BYTES = 256 << 10
HEADER_BYTES = 32 << 10
ROWS = 256
LENGTH = 4096  # words of a text, steps of a series
DEPTH = 8
READ_SECONDS = 5.0
DEADLINE_SECONDS = 2.0
QUEUE_REQUESTS = 256
RETRY_AFTER_SECONDS = 1
DRAIN_SECONDS = 20.0


class Refusal(Exception):
    """A request that is answered with an error of the client's making, or asked to come again.

    Args:
        status: HTTP status.
        message: Subject, rule, what came, what to do.
        field: Where in the request.
        row: Which row of it, from 0.
    """

    def __init__(
        self, status: int, message: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.row = row


class Overloaded(Refusal):
    """The queue is full."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            503, f"queue: {waiting} requests wait already; ask again in {RETRY_AFTER_SECONDS} s"
        )


class DeadlinePassed(Refusal):
    """No answer in time."""

    def __init__(self) -> None:
        super().__init__(
            503, f"deadline: no answer within {DEADLINE_SECONDS:g} s; ask again, with fewer rows"
        )
