"""Where MLflow's and Prefect's state lies: chosen once a home, and never changed in silence.

The ledger speaks of versions that one MLflow knows. A platform that one day came up on another
database would register other models under the same numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infra.local import write_whole
from infra.platform import postgres
from infra.platform.parts import Part
from infra.platform.postgres import NoCluster, Server
from infra.settings import Settings

INSTALL = "pip install --no-deps --require-hashes --requirement supply_chain/image.lock"


class DatabaseRefused(ValueError):
    """The setting of the database cannot be followed; the message says what can be done."""

    exit_code = 2  # of the command line: bad usage


@dataclass(frozen=True)
class Database:
    """Where the state lies.

    Attributes:
        said: For people, and why it is not PostgreSQL where it is not.
        mlflow: SQLAlchemy's URL, as MLflow takes it; it may hold a password.
        prefect: As Prefect takes it; empty: its own SQLite file.
        part: What runs it; None: it runs elsewhere, or is a file.
        server: The PostgreSQL; None: SQLite.
    """

    said: str
    mlflow: str
    prefect: str = ""
    part: Part | None = None
    server: Server | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is a PostgreSQL."""
        return self.server is not None


def choose(settings: Settings) -> Database:
    """By the setting, by what this home had before, by what is installed.

    Raises:
        DatabaseRefused: the setting and what the home had contradict each other, or an address
            that is none.
        NoCluster: the home's state is in a PostgreSQL that cannot be had.
    """
    home = settings.home.resolve()
    asked, had = settings.database_url.get_secret_value().strip(), _had(home)
    if asked and asked != "sqlite":
        server = _server(asked)
        _refuse_change(home, had, f"PostgreSQL at {server.host}:{server.port}")
        _refuse_without_driver()
        server.make_databases()
        found = _of(server, f"PostgreSQL at {server.host}:{server.port}")
    elif asked == "sqlite":
        _refuse_change(home, had, "SQLite")
        found = _sqlite(settings, "as NOCTURNE_DATABASE_URL asks")
    elif had is None or had == EMBEDDED:
        found = _embedded(settings, must=had is not None)
    elif had == "SQLite":
        found = _sqlite(settings, "this home's history is in it")
    else:
        _refuse_change(home, had, "none")
        raise AssertionError("a change is refused")
    _keep(home, found)
    return found


EMBEDDED = "PostgreSQL below this home"


def _embedded(settings: Settings, *, must: bool) -> Database:
    folder = settings.home.resolve() / "postgres"
    try:
        if find_spec("psycopg2") is None:
            raise NoCluster(f"psycopg2 is not installed ({INSTALL})")
        part, server = postgres.cluster(folder, settings.up_database_port)
    except NoCluster as error:
        if must:
            raise NoCluster(f"{folder}: {error}") from None
        return _sqlite(settings, str(error))
    return _of(server, f"{EMBEDDED}, port {server.port}", part)


def _of(server: Server, said: str, part: Part | None = None) -> Database:
    urls = server.url("psycopg2", "mlflow"), server.url("asyncpg", "prefect")
    return Database(said, *urls, part, server)


def _sqlite(settings: Settings, why: str) -> Database:
    home = settings.home.resolve()
    return Database(f"SQLite ({why})", f"sqlite:///{home / 'mlflow.db'}")


def _server(url: str) -> Server:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError as error:
        raise DatabaseRefused(f"NOCTURNE_DATABASE_URL: {error}") from None
    form = "write postgresql://USER:PASSWORD@HOST:PORT"
    if parts.scheme not in {"postgresql", "postgres"} or not host or not parts.username:
        raise DatabaseRefused(
            f"NOCTURNE_DATABASE_URL: {parts.scheme or 'it'}://{host or ''} is no address of a "
            f"PostgreSQL with a role; {form}, or `sqlite`"
        )
    if parts.path.strip("/") or parts.query:
        raise DatabaseRefused(
            f"NOCTURNE_DATABASE_URL: names {parts.path or parts.query!r} after the address, but "
            f"MLflow and Prefect need a database each; {form}"
        )
    return Server(host, port, unquote(parts.username), unquote(parts.password or ""))


def _refuse_without_driver() -> None:
    if find_spec("psycopg2") is None:
        raise DatabaseRefused(f"NOCTURNE_DATABASE_URL: needs psycopg2: {INSTALL}")


def _refuse_change(home: Path, had: str | None, asked: str) -> None:
    if had is not None and had != asked:
        raise DatabaseRefused(
            f"NOCTURNE_DATABASE_URL: asks for {asked}, and the registry of {home} is in {had}, "
            "where its ledger's versions are; set it as before, or begin another NOCTURNE_HOME "
            "and NOCTURNE_STORE"
        )


def _had(home: Path) -> str | None:
    """What the home's state was in before."""
    try:
        return str(json.loads((home / "up" / "database.json").read_text("utf-8"))["where"])
    except FileNotFoundError:
        return "SQLite" if (home / "mlflow.db").exists() else None


def _keep(home: Path, found: Database) -> None:
    where = "SQLite" if not found.is_server else EMBEDDED if found.part else found.said
    content = json.dumps({"where": where}).encode()
    write_whole(home / "up" / "database.json", lambda file: file.write(content))
