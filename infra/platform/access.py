"""Who may ask the servers of a platform, and what must be set before they leave loopback.

Also a guard for Host and Origin in front of a server that has none of its own.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from infra.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LEAST_CHARACTERS = 12  # what MLflow asks of a password

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class BindRefused(ValueError):
    """The platform must not listen where it was asked to; the message names the settings."""

    exit_code = 2  # of the command line: bad usage


@dataclass(frozen=True)
class Access:
    """What the platform's servers ask of who asks them.

    Attributes:
        host: Address they bind to.
        names: Names beside loopback's by which they are reached.
        user: Who is let in.
        password: Empty: nobody is asked for one.
    """

    host: str
    names: tuple[str, ...]
    user: str
    password: SecretStr

    @classmethod
    def of(cls, settings: Settings, *, uid: int) -> Access:
        """From the settings.

        Args:
            settings: The environment's, with what the command line names.
            uid: The effective uid of this process.

        Raises:
            BindRefused: beyond loopback without password, names or token, or as uid 0; or a
                password or user that a server would not take.
        """
        host, password = settings.up_host, settings.up_password.get_secret_value()
        names = tuple(
            name.strip().lower() for name in settings.up_allowed_hosts.split(",") if name.strip()
        )
        if not is_loopback(host):
            _refuse_open(settings, host, names, uid)
        if password and len(password) < LEAST_CHARACTERS:
            raise BindRefused(
                f"NOCTURNE_UP_PASSWORD: has {len(password)} characters and needs at least "
                f"{LEAST_CHARACTERS}; make one by `openssl rand -hex 24`"
            )
        if ":" in settings.up_user or not settings.up_user.strip():
            raise BindRefused(
                f"NOCTURNE_UP_USER {settings.up_user!r}: must be a name without a colon"
            )
        if bad := [name for name in names if not _is_name(name)]:
            raise BindRefused(
                f"NOCTURNE_UP_ALLOWED_HOSTS {bad[0]!r}: must be a host's name without scheme, "
                "port, path or wildcard"
            )
        return cls(host, names, settings.up_user, settings.up_password)

    @property
    def asks(self) -> bool:
        """Whether a password is asked for."""
        return bool(self.password.get_secret_value())

    @property
    def reached_by(self) -> str:
        """The name to put into links: the first allowed one, or loopback."""
        return self.names[0] if self.names and not is_loopback(self.host) else "127.0.0.1"

    @property
    def pair(self) -> str:
        """`user:password`, as Prefect wants it; empty where nothing is asked."""
        return f"{self.user}:{self.password.get_secret_value()}" if self.asks else ""

    @property
    def basic(self) -> str:
        """The Authorization header that lets in; empty where nothing is asked."""
        return f"Basic {base64.b64encode(self.pair.encode()).decode()}" if self.asks else ""

    def hosts(self) -> frozenset[str]:
        """Every name that a Host header may carry, without port."""
        return frozenset((*self.names, *LOOPBACK))

    def origins(self, port: int) -> tuple[str, ...]:
        """Origins of a server's own pages."""
        own = (*LOOPBACK[:2], *self.names)
        plain = tuple(f"http://{name}:{port}" for name in own)
        return (*plain, *(f"https://{name}" for name in self.names))

    def lets_in(self, authorization: str) -> bool:
        """Whether an Authorization header is the one that is asked for."""
        return not self.asks or hmac.compare_digest(authorization.encode(), self.basic.encode())


def _refuse_open(settings: Settings, host: str, names: tuple[str, ...], uid: int) -> None:
    wanted = {
        "NOCTURNE_UP_PASSWORD (what MLflow, Prefect and the page ask for)": bool(
            settings.up_password.get_secret_value()
        ),
        "NOCTURNE_UP_ALLOWED_HOSTS (the names they are reached by)": bool(names),
        "NOCTURNE_SERVE_TOKEN (what scoring asks for)": bool(
            settings.serve_token.get_secret_value()
        ),
    }
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        raise BindRefused(f"host {host}: beyond loopback set {', '.join(missing)}")
    if uid == 0 and not settings.serve_as_root:
        raise BindRefused(
            f"host {host}: refuses to leave loopback as uid 0; run it as a user of its own, or "
            "set NOCTURNE_SERVE_AS_ROOT=1 where uid 0 is contained, as in a rootless container"
        )


def is_loopback(host: str) -> bool:
    """Whether an address reaches only this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_name(name: str) -> bool:
    return not set(name) & set("/*@:, ") or (name.startswith("[") and name.endswith("]"))


def refusal(hosts: Iterable[str], host: str, origin: str | None) -> str | None:
    """Why a request is not let through, by its Host and its Origin; None: it is.

    A page of somebody else's can make a browser ask loopback: it carries its own Origin, or,
    with a name that it bent to loopback, its own Host.
    """
    known = frozenset(hosts)
    if _name(host) not in known:
        return f"Host {host[:60]!a}: is no name of this server; see NOCTURNE_UP_ALLOWED_HOSTS"
    if origin is not None and _name(urlsplit(origin).netloc) not in known:
        return f"Origin {origin[:60]!a}: may not ask"
    return None


def guarded(app: App, hosts: Iterable[str]) -> App:
    """An ASGI application behind the same check; 403 for what it refuses, sockets included."""
    known = frozenset(hosts)

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            said = dict(scope["headers"])  # of several the last
            origin = said.get(b"origin")
            why = refusal(
                known,
                said.get(b"host", b"").decode("latin-1"),
                origin.decode("latin-1") if origin is not None else None,
            )
            if why is not None:
                await _refuse(scope["type"], why, receive, send)
                return
        await app(scope, receive, send)

    return guard


async def _refuse(kind: str, why: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why[:100]})
        return
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 403, "headers": head})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})


def kept_secret(file: Path) -> str:
    """A random secret that only this user can read; made when first asked for."""
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = secrets.token_hex(24)
        scratch = file.with_name(f".{file.name}.new")
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_text(f"{made}\n", "utf-8")
        scratch.replace(file)
        return made


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
