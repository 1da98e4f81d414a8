"""The routes: MLflow's scoring protocol, the open inference protocol, health and metrics.

Requests for answers take the short way through plain ASGI; everything else is Starlette's.
Every answer carries the version that gave it, or that was live when it was refused.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving import inference_protocol, places, protocol
from serving.access import Access, day_of, taken
from serving.batching import Batcher
from serving.body import Message, Receive, body_of
from serving.canary import Canary
from serving.engine import Answers, Engine
from serving.limits import RETRY_AFTER_SECONDS, Refusal
from serving.metrics import Metrics
from serving.openapi import document
from serving.places import SILENT_SECONDS, Places
from serving.protocol import Row
from serving.slot import Slot

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "RESOURCE_EXHAUSTED",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Heard = Callable[[list[Row], Answers, date | None], None]


class App:
    """The ASGI application of one pipeline.

    Args:
        name: The pipeline's; also the model's.
        slot: Holds the live version.
        canary: Asked how it goes.
        batcher: The queue before it.
        access: Who may ask.
        metrics: Told of every answer.
        place: Knows the other processes here.
        heard: Told rows, answers and named day of every answered request; must be quick.
        days_named: Whether a request may name the day it counts for.
    """

    def __init__(
        self,
        name: str,
        slot: Slot,
        canary: Canary,
        batcher: Batcher,
        access: Access,
        metrics: Metrics,
        place: Places,
        heard: Heard = lambda _rows, _answers, _day: None,
        *,
        days_named: bool = False,
    ) -> None:
        self.draining = False
        self._name = name
        self._slot = slot
        self._canary = canary
        self._batcher = batcher
        self._access = access
        self._metrics = metrics
        self._place = place
        self._heard = heard
        self._days_named = days_named
        self._infer_path = f"/v2/models/{name}/infer"
        self._rest = Starlette(routes=self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        headers = taken(scope["headers"])
        try:
            self._access.check(path, headers)
            if scope["method"] == "POST" and path in ("/invocations", self._infer_path):
                status = await self._score(path, headers, receive, send)
            else:
                status = await self._other(scope, receive, send)
        except Refusal as refusal:
            status = refusal.status
            await self._refuse(refusal, send)
        except Exception:
            status = 500
            logger.exception("%s %s failed", scope["method"], path)
            await self._refuse(Refusal(500, "the server failed; its log says why"), send)
        known = path if path in KNOWN or path == self._infer_path else "other"
        self._metrics.requests.labels(known, status).inc()

    async def _score(
        self, path: str, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> int:
        day = day_of(headers) if self._days_named else None
        body = await body_of(headers, receive)
        began = time.perf_counter()
        live = self._live()
        if path == "/invocations":
            rows = protocol.rows_of(body, live.shape)
            answers = await self._batcher.answer(rows)
            content = protocol_answer(self._name, answers)
        else:
            rows = inference_protocol.rows_of(body, live.shape)
            answers = await self._batcher.answer(rows)
            content = inference_protocol.answer(self._name, answers)
        self._metrics.seconds.observe(time.perf_counter() - began)
        await self._send(send, 200, content, version=answers.engine.version)
        self._heard(rows, answers, day)
        return 200

    def _live(self) -> Engine:
        if self._slot.live is None:
            raise Refusal(503, f"model {self._name}: no version is live; see /v2/health/ready")
        return self._slot.live

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> int:
        status = 500
        version = (b"x-model-version", self._version().encode())

        async def versioned(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [version, CLOSE] if self.draining else [version]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        scope["app"] = self._rest  # or a missing route would be answered in plain text
        try:
            await self._rest.router(scope, receive, versioned)
        except HTTPException as error:
            raise Refusal(error.status_code, f"{scope['path'][:100]!a}: {error.detail}") from None
        return status

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        told: dict[str, Any] = {"error_code": CODES.get(refusal.status, "INTERNAL_ERROR")}
        told |= {"message": refusal.message, "field": refusal.field, "row": refusal.row}
        told |= {"model_name": self._name, "model_version": self._version()}
        extra = []
        if refusal.status == 503:
            extra.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
        if refusal.status == 401:
            extra.append((b"www-authenticate", b"Bearer"))
        if refusal.status in (408, 413):
            extra.append(CLOSE)
        content = orjson.dumps({key: value for key, value in told.items() if value is not None})
        await self._send(send, refusal.status, content, extra=extra)

    async def _send(
        self,
        send: Send,
        status: int,
        content: bytes,
        *,
        version: str | None = None,
        extra: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        headers = [
            JSON,
            (b"content-length", str(len(content)).encode()),
            (b"x-model-version", (version or self._version()).encode()),
            *(extra or ()),
        ]
        if self.draining and CLOSE not in headers:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _version(self) -> str:
        return self._slot.live.version if self._slot.live else "none"

    def _routes(self) -> list[Route]:
        model = f"/v2/models/{self._name}"
        gets = {
            "/": self._page,
            "/ping": self._ping,
            "/health": self._ping,
            "/version": self._mlflow_version,
            "/metrics": self._numbers,
            "/openapi.json": self._openapi,
            "/v2": self._server,
            "/v2/health/live": self._alive,
            "/v2/health/ready": self._ready,
            model: self._model,
            f"{model}/ready": self._ready,
        }
        routes = [Route(path, endpoint) for path, endpoint in gets.items()]
        return [*routes, Route("/refresh", self._refresh, methods=["POST"])]

    async def _page(self, _request: Request) -> Response:
        text = PAGE.read_text("utf-8")
        return HTMLResponse(text.replace("{{name}}", self._name))

    async def _ping(self, _request: Request) -> Response:
        return Response("\n", 200 if self._slot.live else 404, media_type="application/json")

    async def _mlflow_version(self, _request: Request) -> Response:
        return Response(importlib.metadata.version("mlflow"), media_type="application/json")

    async def _numbers(self, _request: Request) -> Response:
        self._metrics.queue.set(len(self._batcher))
        text = await asyncio.to_thread(self._metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _request: Request) -> Response:
        return _json(document(self._name, self._slot.live))

    async def _server(self, _request: Request) -> Response:
        version = importlib.metadata.version("nocturne")
        return _json({"name": "nocturne", "version": version, "extensions": []})

    async def _alive(self, _request: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _request: Request) -> Response:
        told = await asyncio.to_thread(self.readiness)
        return _json(told, 200 if told["ready"] else 503)

    async def _model(self, _request: Request) -> Response:
        return _json(inference_protocol.metadata(self._name, self._live()))

    async def _refresh(self, _request: Request) -> Response:
        self._slot.refresh()
        return _json({"looking": True}, 202)

    def readiness(self) -> dict[str, Any]:
        """Whether traffic is welcome, and everything that an operator wants to know then."""
        slot, live = self._slot, self._slot.live
        others = self._place.others(places.now())
        return {
            "ready": live is not None and not self.draining,
            "draining": self.draining,
            "model_name": self._name,
            "model_version": live.version if live else None,
            "digest": live.digest if live else None,
            "engine": live.kind if live else None,
            "golden_difference": live.golden_difference if live else None,
            "ledger_entry": slot.since,
            "stale": slot.stale is not None,
            "why": slot.stale,
            "refused": asdict(slot.refused) if slot.refused else None,
            "challenger": slot.challenger.version if slot.challenger else None,
            "canary": self._canary.told(),
            "other_processes": others,
            "processes_disagree": any(
                other["seconds_ago"] > SILENT_SECONDS
                or other["version"] not in (None, self._version())  # None: it is starting
                for other in others
            ),
        }


KNOWN = frozenset(
    {
        *("/", "/invocations", "/ping", "/health", "/version", "/metrics", "/openapi.json"),
        *("/refresh", "/v2", "/v2/health/live", "/v2/health/ready"),
    }
)


def protocol_answer(name: str, answers: Answers) -> bytes:
    """What MLflow's server would answer, and whose answer it is."""
    engine = answers.engine
    likeliest = answers.probabilities.argmax(axis=1).tolist()
    predictions = [
        {"label": engine.classes[best], **dict(zip(engine.names, row, strict=True))}
        for best, row in zip(likeliest, answers.probabilities.tolist(), strict=True)
    ]
    return orjson.dumps(
        {"predictions": predictions, "model_name": name, "model_version": engine.version}
    )


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
