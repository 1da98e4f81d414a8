"""Where a night runs, read from the environment (`NOCTURNE_*`); it never changes a number.

What the environment leaves open, `nocturne up` may have said: verbs of the same home find its
servers by `HOME/servers.json` (`infra.platform.known`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from infra.platform import known

HOME = Path(".nocturne")


class _Known(PydanticBaseSettingsSource):
    """The servers of a `nocturne up` in the same home."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Nothing field by field: all is asked at once."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Addresses that neither the caller nor the environment names."""
        said = self.current_state
        home = Path(said.get("home") or said.get("NOCTURNE_HOME") or HOME)
        found = known.servers(home)
        names = {
            "mlflow_url": ("mlflow_url", "NOCTURNE_MLFLOW_URL", "MLFLOW_TRACKING_URI"),
            "prefect_url": ("prefect_url", "NOCTURNE_PREFECT_URL", "PREFECT_API_URL"),
        }
        return {
            name: url for name, url in found.items() if not any(said.get(n) for n in names[name])
        }


class Settings(BaseSettings):
    """Places and credentials; everything embedded in one folder unless set."""

    model_config = SettingsConfigDict(
        env_prefix="NOCTURNE_", extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path = Field(HOME, description="Folder of everything that is embedded.")
    store: str = Field("", description="Folder or s3://bucket/prefix; empty: HOME/store.")
    mlflow_url: str = Field(
        "",
        validation_alias=AliasChoices("NOCTURNE_MLFLOW_URL", "MLFLOW_TRACKING_URI"),
        description="MLflow tracking URI; empty: SQLite under HOME.",
    )
    prefect_url: str = Field(
        "",
        validation_alias=AliasChoices("NOCTURNE_PREFECT_URL", "PREFECT_API_URL"),
        description="Prefect API URL; empty: embedded, SQLite under HOME.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Candidates trained at once."
    )
    ray: str = Field(
        "",
        description="Ray cluster that trains: local, auto, HOST:PORT or ray://HOST:PORT; "
        "empty: this machine.",
    )
    nights: int = Field(
        default_factory=lambda: max(2, (os.cpu_count() or 1) // 2),
        ge=1,
        description="Scheduled runs that go on at once; the others wait.",
    )
    lease_seconds: float = Field(
        150.0, ge=1, description="Without a sign of life, until a night is known as dead."
    )
    s3_endpoint: str = Field("", description="Endpoint of an S3 service other than AWS.")
    s3_access_key: SecretStr = Field(SecretStr(""), description="Empty: boto3's own chain.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Empty: boto3's own chain.")
    key_file: Path | None = Field(
        None,
        validation_alias="NOCTURNE_SIGNING_KEY",
        description="Private key that seals bundles; who only reads them needs the public one.",
    )
    webhook: SecretStr = Field(SecretStr(""), description="URL that hears how nights end.")
    notify: SecretStr = Field(
        SecretStr(""), description="Addresses as apprise writes them, apart by blanks."
    )

    up_host: str = Field(
        "127.0.0.1",
        description="Address that the servers of `nocturne up` bind to; beyond loopback they need "
        "a password, allowed hosts and a token.",
    )
    up_port: int = Field(4100, ge=1, le=65535, description="Of its page of links.")
    up_prefect_port: int = Field(4200, ge=1, le=65535, description="Of its Prefect server.")
    up_mlflow_port: int = Field(5000, ge=1, le=65535, description="Of its MLflow server.")
    up_database_port: int = Field(5433, ge=1, le=65535, description="Of its PostgreSQL.")
    up_user: str = Field("nocturne", description="Who its servers let in.")
    up_password: SecretStr = Field(
        SecretStr(""), description="What MLflow, Prefect and the page ask for; empty: nothing."
    )
    up_allowed_hosts: str = Field(
        "", description="Names that a Host header may carry beside loopback's, apart by commas."
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="postgresql://USER:PASSWORD@HOST:PORT of `nocturne up`; `sqlite`: none; "
        "empty: a local PostgreSQL if there is one.",
    )

    serve_host: str = Field(
        "127.0.0.1",
        description="Address the scoring server binds to; beyond loopback it needs "
        "a token and allowed hosts.",
    )
    serve_port: int = Field(8080, ge=0, le=65535, description="Its port; 0: any free one.")
    serve_token: SecretStr = Field(
        SecretStr(""), description="Bearer token that scoring asks for; empty: none on loopback."
    )
    serve_allowed_hosts: str = Field(
        "", description="Names that a Host header may carry beside loopback's, apart by commas."
    )
    serve_as_root: bool = Field(
        default=False, description="Let the scoring server run as uid 0, which it else refuses."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was said first counts: the caller, the environment, a `nocturne up` of the home."""
        given = (init_settings, env_settings, dotenv_settings, file_secret_settings)
        return (*given, _Known(settings_cls))

    @property
    def store_uri(self) -> str:
        """The store's address, made absolute when it is a folder."""
        return self.store or str((self.home / "store").resolve())

    @property
    def mlflow_uri(self) -> str:
        """The tracking and registry address."""
        return self.mlflow_url or f"sqlite:///{(self.home / 'mlflow.db').resolve()}"

    @property
    def artifacts_uri(self) -> str:
        """Where MLflow keeps artifacts when its store is the embedded one."""
        return str((self.home / "mlflow_artifacts").resolve())

    @property
    def signing_key(self) -> Path:
        """Private key that seals bundles; the public one lies beside it as `.pub`."""
        # not resolved: a mounted secret is a link, and its other half lies beside the link
        return (self.key_file or self.home / "keys" / "signing.key").absolute()

    @property
    def work(self) -> Path:
        """Scratch folder of nights: encoded arrays, models in training, reports."""
        return (self.home / "work").resolve()

    def spool_of(self, pipeline: str) -> Path:
        """File of the calls to MLflow that wait for its return."""
        return self.work / pipeline / "spool.jsonl"
