"""Who may ask: the Host and Origin headers, and a bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from serving.limits import Refusal

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
OPEN = frozenset(
    {"/", "/ping", "/health", "/version", "/openapi.json", "/v2/health/live", "/v2/health/ready"}
)
CHANGES = frozenset({"/refresh"})


class BindRefused(ValueError):
    """The server must not listen where it was asked to; the message names the setting."""

    exit_code = 2  # of the command line: bad usage


class RootRefused(ValueError):
    """The server must not run as the superuser; the message says how to run it."""

    exit_code = 2  # of the command line: bad usage


def refuse_root(user: int, *, allowed: bool) -> None:
    """What answers strangers must not own the machine.

    Args:
        user: The effective uid of this process.
        allowed: `NOCTURNE_SERVE_AS_ROOT`.

    Raises:
        RootRefused: the superuser, who is not allowed.
    """
    if user == 0 and not allowed:
        raise RootRefused(
            "serve: refuses to run as uid 0; run it as a user who may write to its home only, "
            "or set NOCTURNE_SERVE_AS_ROOT=1 where uid 0 is contained, as in a rootless container"
        )


@dataclass(frozen=True)
class Access:
    """What a request must carry.

    Attributes:
        hosts: Names that a Host header may carry.
        token: Asked of everything but health and documentation; empty: only of what changes
            something, which then nobody may do.
    """

    hosts: frozenset[str]
    token: SecretStr

    @classmethod
    def of(cls, host: str, token: SecretStr, allowed_hosts: str) -> Access:
        """For an address to bind to.

        Raises:
            BindRefused: beyond loopback without a token and the names it is reached by.
        """
        names = {name.strip().lower() for name in allowed_hosts.split(",")} - {""}
        if not is_loopback(host):
            if not token.get_secret_value():
                raise BindRefused(
                    f"host {host}: beyond loopback a token is needed; set NOCTURNE_SERVE_TOKEN or "
                    "give --token-file"
                )
            if not names:
                raise BindRefused(
                    f"host {host}: beyond loopback the names it is reached by are needed; set "
                    "NOCTURNE_SERVE_ALLOWED_HOSTS"
                )
        return cls(frozenset(names | LOOPBACK), token)

    def check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Let a request through.

        Raises:
            Refusal: 400 for a foreign Host, 403 for a foreign Origin, 401 without the token.
        """
        host = _name(headers.get(b"host", b"").decode("latin-1"))
        if host not in self.hosts:
            raise Refusal(400, f"Host {host[:60]!a}: is no name of this server", field="Host")
        origin = headers.get(b"origin")
        if origin is not None:
            name = urlsplit(origin.decode("latin-1")).netloc
            if _name(name) not in self.hosts:
                raise Refusal(403, f"Origin {name[:60]!a}: may not ask", field="Origin")
        if path in OPEN:
            return
        expected = self.token.get_secret_value()
        if not expected and path not in CHANGES:
            return
        given = headers.get(b"authorization", b"")
        if expected and hmac.compare_digest(given, b"Bearer " + expected.encode()):
            return
        what = "Authorization: needs `Bearer TOKEN`"
        if not expected:
            what += "; start the server with a token to use this route"
        raise Refusal(401, what, field="Authorization")


def is_loopback(host: str) -> bool:
    """Whether an address reaches only this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def taken(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name; of several the last."""
    return dict(headers)


def day_of(headers: Mapping[bytes, bytes]) -> date | None:
    """The day that a request says it counts for; None where it says nothing.

    Raises:
        Refusal: 400, the header X-Logical-Date is no date.
    """
    given = headers.get(b"x-logical-date")
    if given is None:
        return None
    try:
        return date.fromisoformat(given.decode("latin-1"))
    except ValueError:
        raise Refusal(
            400,
            f"X-Logical-Date {given[:40]!a}: must be an ISO date such as 2026-01-31",
            field="X-Logical-Date",
        ) from None


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
