"""A PostgreSQL of the platform's own: an unprivileged cluster below the home, on loopback."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.platform.access import kept_secret
from infra.platform.parts import Part

OWNER = "nocturne"
DATABASES = ("mlflow", "prefect")
PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
PATIENCE_SECONDS = 5


class NoCluster(RuntimeError):
    """No PostgreSQL can be run here; the message says why."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server and the role that owns both databases.

    Attributes:
        host: Its address.
        port: Its port.
        user: The role.
        password: The role's.
    """

    host: str
    port: int
    user: str
    password: str

    def url(self, driver: str, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql+{driver}://{who}@{host}:{self.port}/{database}"

    def connected(self, database: str) -> Any:
        """A connection of psycopg2's; raises its `OperationalError`."""
        import psycopg2

        return psycopg2.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=PATIENCE_SECONDS,
        )

    def answers(self) -> bool:
        """Whether it lets the role in."""
        import psycopg2

        with suppress(psycopg2.Error), closing(self.connected("postgres")):
            return True
        return False

    def make_databases(self) -> None:
        """Make the databases that are not there: one each.

        They cannot share one: both servers keep their schema's version in a table of the same name.

        Raises:
            NoCluster: they are missing, and the role may not make them.
        """
        import psycopg2
        from psycopg2 import sql

        try:
            with closing(self.connected("postgres")) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT datname FROM pg_database")
                    there = {name for (name,) in cursor.fetchall()}
                    for name in DATABASES:
                        if name not in there:
                            cursor.execute(
                                sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                            )
        except psycopg2.Error as error:
            said = str(error).strip().partition("\n")[0].replace(self.password, "***")
            raise NoCluster(
                f"PostgreSQL at {self.host}:{self.port}: {said}; look at the server and "
                "NOCTURNE_DATABASE_URL; infra/postgres/databases.sh makes both databases"
            ) from None


def cluster(folder: Path, port: int) -> tuple[Part, Server]:
    """The part that runs the cluster in a folder, which is made when it is not there.

    Raises:
        NoCluster: no PostgreSQL is installed, or none of the version that made the cluster, or
            this user cannot run it there.
    """
    data = folder / "data"
    version = _text(data / "PG_VERSION")
    programs = _programs(version)
    user = _unprivileged()
    password = kept_secret(folder.parent / "up" / "database-password")
    if version is None:
        _initialise(programs, folder, user, password)
    server = Server("127.0.0.1", port, OWNER, password)
    settings = {
        "listen_addresses": server.host,
        "port": str(port),
        "unix_socket_directories": "",  # a path may be longer than a socket's name
        "password_encryption": "scram-sha-256",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    part = Part(
        name="postgres",
        command=(str(programs / "postgres"), "-D", str(data), *words),
        healthy=server.answers,
        ready=server.make_databases,
        before=partial(_refuse_foreign, data),
        ask=signal.SIGINT,  # its fast shutdown: clients are sent away, nothing is lost
        patience_seconds=60.0,
        user=user,
        host=server.host,
        port=port,
        setting="NOCTURNE_UP_DATABASE_PORT",
    )
    return part, server


def installed() -> Path:
    """The folder of the programs that would make a new cluster.

    Raises:
        NoCluster: there is none, or this user cannot run it.
    """
    _unprivileged()
    return _programs(None)


def _refuse_foreign(data: Path) -> None:
    if not (data / "PG_VERSION").is_file():
        raise NoCluster(f"{data}: the cluster is gone; bring it back, or remove the home")


def _programs(version: str | None) -> Path:
    """The folder of PostgreSQL's programs, the newest, or those that made a cluster."""
    found = {
        said[1]: folder
        for folder in sorted(_folders())
        if (said := re.search(r"\) (\d+)", _output(folder / "postgres", "--version")))
    }
    if not found:
        raise NoCluster("no PostgreSQL is installed")
    if version is None:
        return found[max(found, key=int)]
    if version not in found:
        raise NoCluster(
            f"the cluster of this home was made by PostgreSQL {version}, and "
            f"{', '.join(sorted(found))} is installed; install {version}, or move the data by "
            "pg_upgrade"
        )
    return found[version]


def _folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for place in PLACES:
        candidates += Path("/").glob(place)
    for folder in candidates:
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            yield folder


def _unprivileged() -> tuple[int, int] | None:
    """Whom to run it as: PostgreSQL refuses uid 0. None: who runs this."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        raise NoCluster(
            "PostgreSQL refuses to run as uid 0, and there is no user postgres"
        ) from None
    return found.pw_uid, found.pw_gid


def _initialise(programs: Path, folder: Path, user: tuple[int, int] | None, password: str) -> None:
    """Make a cluster beside its place and move it there, so that a kill leaves none half-made."""
    scratch, secret = folder / "made", folder / "password"
    shutil.rmtree(scratch, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(password, "utf-8")
    if user:
        os.chown(folder, *user)
        os.chown(secret, *user)
    words = ["-D", str(scratch), "-U", OWNER, "--pwfile", str(secret), "--encoding=UTF8"]
    words += ["--auth=scram-sha-256", "--data-checksums", "--locale=C.UTF-8", "--no-instructions"]
    try:
        said = _output(programs / "initdb", *words, user=user, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "output", None) or error).strip().rpartition("\n")[2]
        said += "; the user postgres must be able to reach that folder" if user else ""
        raise NoCluster(f"PostgreSQL makes no cluster in {folder}: {said}") from None
    finally:
        secret.unlink(missing_ok=True)
    scratch.rename(folder / "data")


def _output(
    program: Path, *words: str, user: tuple[int, int] | None = None, check: bool = False
) -> str:
    given: dict[str, Any] = {}
    if user:
        given = {"user": user[0], "group": user[1], "extra_groups": [], "cwd": "/"}
    ran = subprocess.run(  # noqa: S603 - PostgreSQL's programs, and no shell
        [str(program), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=check,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        **given,
    )
    return str(ran.stdout)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
