"""How the registry reaches MLflow: quickly, quietly, and with a clear word when it cannot."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {  # a server that is down must not hold a night: two tries of 7 s, not 4 minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
SQLITE = "sqlite:///"


def connect(uri: str) -> MlflowClient:
    """A client of this address and no other; what the environment already says stays.

    Raises:
        RegistryUnreachable: no answer within 15 s.
        RegistryError: the address cannot be used.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with answering(uri), _made_once(uri):
        return MlflowClient(uri, uri)


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """MLflow's exceptions as ours, naming the address.

    Raises:
        RegistryUnreachable: no answer in time.
        RegistryError: everything else that MLflow refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        said = redacted(str(error)).splitlines()[0][:300]
        if "failed with exception" in said or "Max retries exceeded" in said:
            raise RegistryUnreachable(
                f"MLflow at {redacted(uri)} does not answer: {said}; start the server or "
                "correct NOCTURNE_MLFLOW_URL"
            ) from None
        if "database is locked" in said:
            raise RegistryUnreachable(
                f"registry busy: {redacted(uri)} is locked; try again"
            ) from None
        raise RegistryError(f"MLflow at {redacted(uri)}: {said}") from error


def artifact_root(uri: str) -> str | None:
    """Where an SQLite store keeps its artifacts: beside the file; a server decides itself."""
    return str(_file(uri).with_name("mlflow_artifacts")) if uri.startswith(SQLITE) else None


@contextmanager
def _made_once(uri: str) -> Iterator[None]:
    """One process at a time creates an SQLite store: its migrations must not run twice."""
    if not uri.startswith(SQLITE):
        yield
        return
    path = _file(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE)).resolve()
