"""What runs on one machine and how: the parts of the platform from the settings."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from infra.orchestration import QUIET
from infra.platform import accounts
from infra.platform.access import Access, BindRefused, is_loopback
from infra.platform.databases import INSTALL, Database
from infra.platform.parts import Part, answers, free_port, polls
from infra.settings import Settings

STORE_REGION = "us-east-1"  # services other than AWS want one to be named, and do not care


@dataclass(frozen=True)
class Plan:
    """What is the same for all parts.

    Attributes:
        settings: The environment's, with what the command line names.
        access: Who may ask.
        database: Where the servers' state lies.
        mlflow_elsewhere: An MLflow that is set, which then is not run here; else empty.
        prefect_elsewhere: A Prefect that is set; else empty.
    """

    settings: Settings
    access: Access
    database: Database
    mlflow_elsewhere: str = ""
    prefect_elsewhere: str = ""

    @property
    def home(self) -> Path:
        """The home, absolute."""
        return self.settings.home.resolve()

    @property
    def asked_at(self) -> str:
        """The address at which parts of this machine ask each other."""
        host = self.access.host
        if is_loopback(host):
            return "[::1]" if host == "::1" else "127.0.0.1"
        return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - asked, not bound

    @property
    def mlflow_url(self) -> str:
        """Of the MLflow server."""
        return self.mlflow_elsewhere or f"http://{self.asked_at}:{self.settings.up_mlflow_port}"

    @property
    def prefect_url(self) -> str:
        """Of Prefect's API."""
        own = f"http://{self.asked_at}:{self.settings.up_prefect_port}/api"
        return self.prefect_elsewhere or own

    def page(self, port: int, path: str = "/") -> str:
        """The address of a page for people."""
        return f"http://{self.access.reached_by}:{port}{path}"

    def servers(self) -> list[Part]:
        """Database, Prefect and MLflow, as far as they run here."""
        found = [self.database.part] if self.database.part else []
        if not self.prefect_elsewhere:
            found.append(self._prefect())
        if not self.mlflow_elsewhere:
            found.append(self._mlflow())
        return found

    def schedules(self, confs: Mapping[str, Path]) -> Part:
        """The process that starts nights, batches and monitoring when they are due."""
        port = free_port()
        health = {
            "PREFECT_RUNNER_SERVER_ENABLE": "true",  # on loopback alone, for the health check
            "PREFECT_RUNNER_SERVER_HOST": "127.0.0.1",
            "PREFECT_RUNNER_SERVER_PORT": str(port),
        }
        return Part(
            name="schedules",
            command=_python("flows.cli", "schedule", *map(str, confs.values())),
            environment=self.client() | health,
            healthy=polls(port),
            needs=self._needed(),
            patience_seconds=60.0,  # a night that is asked to end writes down where it can go on
            spares=True,  # a night goes on when only who started it has died
        )

    def scoring(self, name: str, conf: Path, port: int) -> Part:
        """The scoring server of a pipeline."""
        host = self.access.host
        environment = self.client() | {
            "NOCTURNE_SERVE_ALLOWED_HOSTS": self.settings.serve_allowed_hosts
            or ",".join(self.access.names)
        }
        words = ("serve", str(conf), "--host", host, "--port", str(port))
        return Part(
            name=f"scoring-{name}",
            command=_python("flows.cli", *words),
            environment=environment,
            healthy=answers(f"http://{self.asked_at}:{port}/v2/health/live"),
            after=self._needed(),
            patience_seconds=40.0,  # it drains for 20 s at most
            host=host,
            port=port,
            setting="NOCTURNE_SERVE_PORT",
            page=self.page(port),
        )

    def client(self) -> dict[str, str]:
        """What a process needs to be let in by the servers."""
        said = QUIET | {
            "NOCTURNE_HOME": str(self.home),
            "NOCTURNE_MLFLOW_URL": self.mlflow_url,
            "NOCTURNE_PREFECT_URL": self.prefect_url,
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_HOME": str(self.home / "prefect"),
            "PYTHONUNBUFFERED": "1",
        }
        if self.access.asks and not self.prefect_elsewhere:
            said["PREFECT_API_AUTH_STRING"] = self.access.pair
        if self.access.asks and not self.mlflow_elsewhere:
            said["MLFLOW_TRACKING_USERNAME"] = self.access.user
            said["MLFLOW_TRACKING_PASSWORD"] = self.access.password.get_secret_value()
        return said

    def _needed(self) -> tuple[str, ...]:
        here = {"prefect": self.prefect_elsewhere, "mlflow": self.mlflow_elsewhere}
        return tuple(name for name, elsewhere in here.items() if not elsewhere)

    def _database(self) -> tuple[str, ...]:
        return ("postgres",) if self.database.part else ()

    def _prefect(self) -> Part:
        access, port = self.access, self.settings.up_prefect_port
        environment = QUIET | {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(access.origins(port)),
            "PREFECT_UI_API_URL": os.environ.get("PREFECT_UI_API_URL", self.page(port, "/api")),
            "PREFECT_UI_STATIC_DIRECTORY": str(self.home / "up" / "prefect-ui"),
            "NOCTURNE_UP_ALLOWED_HOSTS": ",".join(access.names),
            "PYTHONUNBUFFERED": "1",
        }
        if self.database.prefect:
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self.database.prefect
        if access.asks:
            environment["PREFECT_SERVER_API_AUTH_STRING"] = access.pair
            environment["PREFECT_API_AUTH_STRING"] = access.pair  # its own services ask it too
        return Part(
            name="prefect",
            command=_python("flows.prefect_server", "--host", access.host, "--port", str(port)),
            environment=environment,
            healthy=answers(f"{self.prefect_url}/health"),
            needs=self._database(),
            host=access.host,
            port=port,
            setting="NOCTURNE_UP_PREFECT_PORT",
            page=self.page(port),
        )

    def _mlflow(self) -> Part:
        access, port = self.access, self.settings.up_mlflow_port
        hosts = [*sorted(access.hosts()), *(f"{_plain(name)}:*" for name in sorted(access.hosts()))]
        words = ["server", "--host", access.host, "--port", str(port), "--workers", "1"]
        words += ["--allowed-hosts", ",".join(hosts), "--x-frame-options", "DENY"]
        words += ["--cors-allowed-origins", ",".join(access.origins(port)), *self._artifacts()]
        environment = self._mlflow_environment()
        before = partial(Path.mkdir, self.home / "up", exist_ok=True, parents=True)
        if access.asks:
            _refuse_without_accounts()
            words += ["--app-name", "basic-auth"]
            environment |= accounts.prepared(self.home / "up", access)
            before = partial(accounts.let_in, self.home / "up", access)
        return Part(
            name="mlflow",
            command=_python("mlflow", *words),
            environment=environment,
            healthy=answers(f"{self.mlflow_url}/health"),
            ready=partial(accounts.refuse_foreign, self.mlflow_url, access),
            before=before,
            needs=self._database(),
            host=access.host,
            port=port,
            setting="NOCTURNE_UP_MLFLOW_PORT",
            page=self.page(port),
        )

    def _artifacts(self) -> list[str]:
        """Where MLflow keeps artifacts.

        Beside an SQLite file clients reach them as the embedded nights do, so that both may
        take turns; with PostgreSQL they pass through the server, into the store where that
        is S3.
        """
        if not self.database.is_server:
            return ["--default-artifact-root", self.settings.artifacts_uri, "--no-serve-artifacts"]
        return ["--artifacts-destination", self._destination()]

    def _destination(self) -> str:
        store = self.settings.store_uri
        return f"{store.rstrip('/')}/mlflow" if _on_s3(store) else self.settings.artifacts_uri

    def _mlflow_environment(self) -> dict[str, str]:
        settings = self.settings
        said = QUIET | {
            "MLFLOW_BACKEND_STORE_URI": self.database.mlflow,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONUNBUFFERED": "1",
        }
        root = "mlflow-artifacts:/"
        if not self.database.is_server:
            root = f"{settings.artifacts_uri}/"
        # what a registry row may point to: below our own artifacts, nothing else
        own = rf"^(?:file://)?{re.escape(root)}[\w./-]+$"
        said["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"] = own
        if _on_s3(settings.store_uri):
            key, secret = settings.s3_access_key, settings.s3_secret_key
            given = {
                "MLFLOW_S3_ENDPOINT_URL": settings.s3_endpoint,
                "AWS_ACCESS_KEY_ID": key.get_secret_value(),
                "AWS_SECRET_ACCESS_KEY": secret.get_secret_value(),
            }
            said |= {name: value for name, value in given.items() if value}
            if settings.s3_endpoint and "AWS_DEFAULT_REGION" not in os.environ:
                said["AWS_DEFAULT_REGION"] = STORE_REGION
        return said


def _refuse_without_accounts() -> None:
    if find_spec("flask_wtf") is None:
        raise BindRefused(f"NOCTURNE_UP_PASSWORD: MLflow's accounts need flask-wtf: {INSTALL}")


def _python(module: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *words)


def _on_s3(store: str) -> bool:
    return store.startswith("s3://")


def _plain(name: str) -> str:
    """A name whose bracket is no pattern."""
    return name.replace("[", "[[]", 1)
