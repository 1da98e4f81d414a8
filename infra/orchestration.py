"""The environment that Prefect, MLflow, Great Expectations and TensorFlow read when imported.

They take their own settings from variables at import time, so `prepare` runs before them.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.settings import Settings


class ServerNotUp(RuntimeError):
    """A server that was started here does not answer; the message says where its log lies."""


QUIET = {
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # or a first run tells of its database's tables
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where `--json` answers
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def prepare(settings: Settings, *, console_level: str = "INFO") -> None:
    """Set what the libraries read, leaving alone what the user has set already.

    Args:
        settings: Places; an empty `prefect_url` means a temporary server over SQLite.
        console_level: Of what Prefect puts on the console; its API gets every line anyway, also
            from the processes that it starts for runs.
    """
    home = (settings.home / "prefect").resolve()
    home.mkdir(parents=True, exist_ok=True)  # Prefect makes only the last folder itself
    defaults = QUIET | {
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,expectations,model_registry,infra",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        # its first start creates the database: 16 s alone, more beside other work
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    }
    if settings.prefect_url:
        defaults["PREFECT_API_URL"] = settings.prefect_url
    defaults |= credentials(settings)
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def credentials(settings: Settings) -> dict[str, str]:
    """Variables by which MLflow's and Prefect's clients are let in by the servers of `up`."""
    password = settings.up_password.get_secret_value()
    if not password:
        return {}
    return {
        "MLFLOW_TRACKING_USERNAME": settings.up_user,
        "MLFLOW_TRACKING_PASSWORD": password,
        "PREFECT_API_AUTH_STRING": f"{settings.up_user}:{password}",
    }


def prefect_headers() -> dict[str, str]:
    """What a question to Prefect's API carries that is asked without its client."""
    pair = os.environ.get("PREFECT_API_AUTH_STRING")
    said = {"Content-Type": "application/json"}
    if pair:
        said["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return said


def prefect_runs(url: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Flow runs by a filter of Prefect's API, asked without its client: importing that is slow.

    Raises:
        OSError: the server does not answer, or refuses.
        ValueError: its answer is no JSON.
    """
    asked = json.dumps(query).encode()
    request = urllib.request.Request(  # noqa: S310 - the address the user set
        f"{url}/flow_runs/filter", asked, prefect_headers()
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the same
        found: list[dict[str, Any]] = json.load(response)
    return found


@contextmanager
def prefect_api(settings: Settings, *, port: int = 4200) -> Iterator[str]:
    """The address of a Prefect server: the one that is set, or one run on loopback meanwhile.

    Raises:
        ServerNotUp: it did not answer in time; the message quotes where its log lies.
    """
    prepare(settings)
    if settings.prefect_url:
        yield settings.prefect_url
        return
    url = f"http://127.0.0.1:{port}/api"
    log = settings.home / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603 - our own words, in this interpreter
            [sys.executable, *command], stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_healthy(f"{url}/health", server, log)
        os.environ["PREFECT_API_URL"] = url
        yield url
    finally:
        stop(server)


def mlflow_ui(settings: Settings, port: int) -> int:
    """Run MLflow's page on the store of the nights, on loopback; returns its exit code."""
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", settings.mlflow_uri]
    command += ["--artifacts-destination", settings.artifacts_uri]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the server would live on
    server = subprocess.Popen(  # noqa: S603 - our own words, in this interpreter
        command, env=environment, start_new_session=True
    )
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)


def stop(
    server: subprocess.Popen[bytes], *, patience_seconds: float = 10.0, group: bool = True
) -> None:
    """End a server and, as its group, what it started: asked first, killed when it goes on."""
    for ask in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, ask) if group else server.send_signal(ask)
        with suppress(subprocess.TimeoutExpired):
            server.wait(patience_seconds)
            return


def wait_until_healthy(
    url: str, server: subprocess.Popen[bytes], log: Path, *, patience_seconds: float = 180.0
) -> None:
    """Ask a server until it answers, ends, or has been silent for too long."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - on loopback
            if response.status == 200:
                return
        time.sleep(0.3)
    ended = f"ended with code {server.poll()}" if server.poll() is not None else "is silent"
    raise ServerNotUp(f"server at {url} {ended} after {patience_seconds:.0f} s at most; see {log}")
