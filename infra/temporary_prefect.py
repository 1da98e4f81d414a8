"""A Prefect server for one run, where none is set: started before Prefect itself is imported.

`python -m infra.temporary_prefect FD PID` serves Prefect's API on a socket that listens already,
and ends when the process that started it, PID, does.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from infra import collecting
from infra.orchestration import prepare, stop, wait_until_healthy
from infra.settings import Settings

LOG = "prefect-server.log"  # below the home
TEMPORARY = {  # of a Prefect server: no page, no services that look for late runs
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_UI_ENABLED": "0",
}


def temporary_prefect(settings: Settings) -> Callable[[], None]:
    """Begin a Prefect server for this run alone, unless an address is set; call it before Prefect.

    Prefect would start the same server by itself, but would first import all of it into this
    process, too, and wait. This one starts while the caller imports, and ends with the process.
    Its address is in the environment until then: later it would look like a team's server.

    Returns:
        What waits until the server answers; call it as soon as Prefect is imported.

    Raises:
        ServerNotUp: by what is returned; the message quotes where the server's log lies.
    """
    prepare(settings)
    elsewhere = "PREFECT_API_URL" in os.environ or "PREFECT_PROFILE" in os.environ
    profiles = Path(os.environ["PREFECT_HOME"]) / "profiles.toml"
    if elsewhere or profiles.exists() or "prefect" in sys.modules:  # too late for variables
        return lambda: None
    log = settings.home / LOG
    with socket.create_server(("127.0.0.1", 0)) as door, log.open("ab") as output:
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what comes in inherits it
        server = subprocess.Popen(  # noqa: S603 (a fixed list of words)
            [sys.executable, "-m", "infra.temporary_prefect", str(door.fileno()), str(os.getpid())],
            env=os.environ | TEMPORARY,
            stdout=output,
            stderr=output,
            pass_fds=[door.fileno()],
        )
        url = f"http://127.0.0.1:{door.getsockname()[1]}/api"
    atexit.register(stop, server, patience_seconds=5.0, group=False)  # after Prefect's last words
    os.environ["PREFECT_API_URL"] = url
    patience = float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"])

    def until_it_answers() -> None:
        del os.environ["PREFECT_API_URL"]
        wait_until_healthy(f"{url}/health", server, log, patience_seconds=patience)

    return until_it_answers


def _end_with(parent: int) -> None:
    """Ask this process to end once its parent has, which `kill -9` gives no time to ask itself."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve, until asked to end."""
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    import uvicorn

    collecting.rarely()
    api = "prefect.server.api.server:create_app"
    uvicorn.run(api, factory=True, fd=int(sys.argv[1]), log_level="error", lifespan="on")


if __name__ == "__main__":
    main()
