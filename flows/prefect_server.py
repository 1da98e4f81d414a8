"""Prefect's server behind a check of Host and Origin: `python -m flows.prefect_server`.

Prefect has accounts but no allowed hosts, and answers pages of any origin. Any page that a browser
shows could ask the server of this machine to start something.
"""

from __future__ import annotations

import argparse
import os

import uvicorn

from infra.orchestration import QUIET
from infra.platform.access import LOOPBACK, guarded
from infra.settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT, as `prefect server start` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4200)
    given = parser.parse_args()
    names = Settings().up_allowed_hosts.split(",")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)

    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    known = {name.strip().lower() for name in names if name.strip()} | set(LOOPBACK)
    app = create_app(final=True)
    uvicorn.run(
        guarded(app, known),
        host=given.host,
        port=given.port,
        timeout_keep_alive=get_current_settings().server.api.keepalive_timeout,
        log_level=get_current_settings().server.logging_level.lower(),
        server_header=False,
    )


if __name__ == "__main__":
    main()
