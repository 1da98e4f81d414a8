"""The page of links: what runs, how it is, and where to look; night reports out of the store."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from infra.errors import NotFound, StorageError
from infra.platform.access import Access, refusal
from infra.platform.parts import PortTaken
from infra.storage import Storage

SHOWN_NIGHTS = 7
REMEMBERED_SECONDS = 20.0  # a list of reports; a store may be far away
REQUEST_SECONDS = 5.0
_REPORT = re.compile(r"/reports/([A-Za-z0-9_-]+)/(\d{4}-\d{2}-\d{2})\.html")
# whatever a report quotes from rows, it must neither run nor call home
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"

Facts = Callable[[], Mapping[str, Any]]


class Page:
    """Served in threads of this process until it is closed.

    Args:
        access: Who may look, and the address to bind to.
        port: To bind to.
        facts: What there is to show, asked anew for each look.
        store: Holds the night reports.

    Raises:
        PortTaken: somebody else listens there.
    """

    def __init__(self, access: Access, port: int, facts: Facts, store: Storage) -> None:
        shown = _Shown(access, facts, store)
        handler = type("Handler", (_Handler,), {"shown": shown, "timeout": REQUEST_SECONDS})
        kind = _Server6 if ":" in access.host else _Server
        try:
            self._server = kind((access.host, port), handler)
        except OSError as error:
            raise PortTaken(
                f"port {port} on {access.host}, for the page of links: {error.strerror}; end who "
                "listens there, or set NOCTURNE_UP_PORT to a free port"
            ) from None
        work = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        work.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Shown:
    """What the page shows, and to whom."""

    def __init__(self, access: Access, facts: Facts, store: Storage) -> None:
        self.access = access
        self.facts = facts
        self.store = store
        self._reports: tuple[float, dict[str, list[str]], str] = (-REMEMBERED_SECONDS, {}, "")
        self._looking = threading.Lock()

    def html(self) -> bytes:
        """The page."""
        from jinja2 import Environment, FileSystemLoader

        facts = self.facts()
        reports, trouble = self._found([one["name"] for one in facts["pipelines"]])
        loader = FileSystemLoader(Path(__file__).parent)
        template = Environment(loader=loader, autoescape=True, trim_blocks=True).get_template(
            "page.html.j2"
        )
        return template.render(facts=facts, reports=reports, trouble=trouble).encode()

    def report(self, pipeline: str, night: str) -> bytes:
        """One night's report; raises the store's errors."""
        return self.store.get(f"reports/{pipeline}/{night}.html")

    def _found(self, pipelines: list[str]) -> tuple[dict[str, list[str]], str]:
        with self._looking:
            at, found, trouble = self._reports
            if time.monotonic() - at > REMEMBERED_SECONDS or set(pipelines) - set(found):
                try:
                    found, trouble = {name: self._nights(name) for name in pipelines}, ""
                except StorageError as error:
                    found, trouble = {name: found.get(name, []) for name in pipelines}, str(error)
                self._reports = (time.monotonic(), found, trouble)
        return found, trouble

    def _nights(self, pipeline: str) -> list[str]:
        keys = self.store.keys(f"reports/{pipeline}/")
        nights = [found[2] for key in keys if (found := _REPORT.fullmatch(f"/{key}"))]
        return sorted(nights, reverse=True)[:SHOWN_NIGHTS]


class _Handler(BaseHTTPRequestHandler):
    """GET of the page, its facts and reports; all else is refused."""

    shown: _Shown
    protocol_version = "HTTP/1.1"
    server_version = "nocturne"
    sys_version = ""

    def do_GET(self) -> None:
        """The page, its facts, or a report."""
        access, said = self.shown.access, self.headers
        why = refusal(access.hosts(), said.get("Host", ""), said.get("Origin"))
        if why:
            self._answer(403, why.encode(), "text/plain")
        elif not access.lets_in(said.get("Authorization", "")):
            self._answer(401, b"needs the user and the password of NOCTURNE_UP_*", "text/plain")
        else:
            self._look()

    def _look(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(200, self.shown.html(), "text/html")
        elif path == "/state.json":
            body = json.dumps(self.shown.facts(), indent=2).encode()
            self._answer(200, body, "application/json")
        elif found := _REPORT.fullmatch(path):
            try:
                self._answer(200, self.shown.report(found[1], found[2]), "text/html")
            except NotFound:
                self._answer(404, b"no such report", "text/plain")
            except StorageError as error:
                self._answer(503, str(error).encode(), "text/plain")
        else:
            self._answer(404, b"nothing is here", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="Nocturne"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Nothing: who looks is no news."""
