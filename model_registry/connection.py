"""How the registry reaches MLflow: quickly, quietly, and with a clear word when it cannot."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import urllib.error
import urllib.request
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
HURRIED = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
SQLITE = "sqlite:///"
ARTIFACT_CLIENTS = ("botocore.", "boto3.", "requests.", "urllib3.", "google.", "azure.")


def connect(uri: str) -> MlflowClient:
    """A client of this address and no other; what the environment already says stays.

    Raises:
        RegistryUnreachable: no answer within 15 s.
        RegistryError: the address cannot be used.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _refuse_silent(uri)
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
    try:
        yield
    except Exception as error:
        if not _of_mlflow(error):
            raise
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


@contextmanager
def artifacts_answering(place: str) -> Iterator[None]:
    """What an artifact store's own client says of a network that is away, as ours.

    A file that is not there stays a `FileNotFoundError`.

    Raises:
        RegistryUnreachable: no answer.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) or type(error).__module__.startswith(ARTIFACT_CLIENTS)):
            raise
        raise RegistryUnreachable(
            f"artifacts at {redacted(place)} cannot be read: {redacted(str(error))[:300]}; "
            "see whether their store answers"
        ) from None


@contextmanager
def hurried() -> Iterator[None]:
    """Inside, a server has 2 s for an answer and no second try: somebody waits for a rollback."""
    before = {name: os.environ.get(name) for name in HURRIED}
    os.environ.update(HURRIED)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def _of_mlflow(error: Exception) -> bool:
    """Whether MLflow raised it; where it was never imported, it did not."""
    if "mlflow.exceptions" not in sys.modules:
        return False
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException)


def _refuse_silent(uri: str) -> None:
    """A server that is down is told before MLflow is imported, which takes seconds."""
    if not uri.startswith(("http://", "https://")):
        return
    seconds = float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=seconds):  # noqa: S310 - looked at above
            return
    except urllib.error.HTTPError:
        return  # it speaks; whether it lets us in is told by what is asked
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if not isinstance(reason, ConnectionError | TimeoutError | socket.gaierror):
            return  # certificates and proxies are MLflow's own affair
        raise RegistryUnreachable(
            f"MLflow at {redacted(uri)} does not answer: {reason or 'timed out'}; start the "
            "server or correct NOCTURNE_MLFLOW_URL"
        ) from None


def _file(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE)).resolve()
