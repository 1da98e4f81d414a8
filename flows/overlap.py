"""A run that is due while the one before it still goes on: it waits a little, then gives way.

The next run sees all rows anyway. One that somebody started by hand is told at once.
"""

# no `from __future__ import annotations`: imported by a flow module
from typing import Any

from prefect.runtime import deployment
from prefect.states import Cancelled

from tasks.lease import StillRunning

PATIENCE_SECONDS = 60.0  # a late run is soon done where the night after it covers it


def patience() -> float:
    """Seconds that this run waits for another to end."""
    return PATIENCE_SECONDS if deployment.id is not None else 0.0


def given_way(running: StillRunning) -> Any:
    """What a flow returns for Prefect to show its run as cancelled, with the reason.

    Raises:
        StillRunning: nobody scheduled this run, so that somebody waits for the answer.
    """
    if deployment.id is None:
        raise running
    return Cancelled(message=str(running))
