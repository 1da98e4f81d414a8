"""Named moments at which a test may let the process die, stop, fail or wait: `NOCTURNE_FAILPOINT`.

`NOCTURNE_FAILPOINT=NAME:kill` (SIGKILL to itself), `NAME:stop` (SIGSTOP, until somebody continues
it), `NAME:raise` or `NAME:sleep`; without it, or under another name, a failpoint is one look at
the environment.
"""

from __future__ import annotations

import os
import signal
import time

SLEEP_SECONDS = 600


class FailpointReached(RuntimeError):
    """What `NAME:raise` raises."""


def failpoint(name: str) -> None:
    """Do what the environment asks for at this point; nothing, outside of tests.

    Raises:
        FailpointReached: it asks for that.
        ValueError: it asks for something that is none of these.
    """
    wanted, _, action = os.environ.get("NOCTURNE_FAILPOINT", "").partition(":")
    if wanted != name:
        return
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise FailpointReached(f"failpoint {name}")
        case "sleep":
            time.sleep(SLEEP_SECONDS)
        case _:
            raise ValueError(f"NOCTURNE_FAILPOINT: {action!r} is none of kill, stop, raise, sleep")
