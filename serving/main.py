"""One scoring server: everything put together and run until it is asked to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Coroutine
from datetime import date
from typing import Any

from pydantic import SecretStr

from infra.settings import Settings
from infra.storage import open_storage
from model_registry import signing
from serving.access import Access
from serving.app import App
from serving.batching import Batcher
from serving.canary import Canary
from serving.engine import Answers
from serving.memory import give_back
from serving.metrics import Metrics
from serving.places import Places
from serving.protocol import Row
from serving.request_log import RequestLog
from serving.server import Server, bound
from serving.shadow import Shadow
from serving.slot import Slot
from tasks.config import ConfigError, Pipeline

logger = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005  # a thread that encodes must not keep the loop waiting


def serve(
    pipeline: Pipeline, settings: Settings, *, first: bool = True, shared: bool = False
) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Args:
        pipeline: Whose champion answers.
        settings: Where.
        first: Only one process of several runs the shadow.
        shared: Other processes listen on the same port.

    Raises:
        BindRefused: the address needs a token or allowed hosts.
        OSError: the address cannot be had.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(_Running(pipeline, settings, first=first).run(shared=shared))


class _Running:
    """The parts of one server process."""

    def __init__(self, pipeline: Pipeline, settings: Settings, *, first: bool) -> None:
        self.settings = settings
        self.serving = pipeline.serving
        token = settings.serve_token
        self.access = Access.of(settings.serve_host, token, settings.serve_allowed_hosts)
        store = open_storage(settings)
        self.place = Places(settings.work / pipeline.name / "serving")
        self.metrics = Metrics()
        shadows = first and self.serving.shadow_share > 0
        key = signing.public_key_of(settings.signing_key)
        self.slot = Slot(
            *(pipeline.name, store, self.place, key, self.metrics),
            watch_challenger=shadows or self.serving.canary_share > 0,
        )
        self.canary = Canary(self.slot, self.serving.canary_share)
        self.batcher = Batcher(self.canary.choose, landed=self.metrics.landed)
        self.log = RequestLog(pipeline.name, store, self.serving, self.metrics)
        share = self.serving.shadow_share if shadows else 0.0
        self.shadow = Shadow(pipeline.name, self.slot, store, share, self.metrics)
        parts = (self.slot, self.canary, self.batcher, self.access, self.metrics, self.place)
        by_request = self.serving.log_day == "request"
        self.app = App(pipeline.name, *parts, heard=self._heard, days_named=by_request)

    async def run(self, *, shared: bool) -> None:
        """Listen, look at the ledger, answer; then drain and write down what is left."""
        socket = bound(self.settings.serve_host, self.settings.serve_port, shared=shared)
        host, port = socket.getsockname()[:2]
        logger.info("listening on http://%s:%d", host, port)
        server = Server(self.app, self._drain)
        if shared:  # the port is the others' until there is something to answer with
            await self.slot.look()
        work = [asyncio.create_task(one) for one in self._background()]
        try:
            await server.serve([socket])
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.log.flush()
            await self.shadow.report()
            self.batcher.close()
            self.place.fall_silent()
            logger.info("ended")

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        return [self.slot.beat(), self._follow(), self.log.run(), self.shadow.run()]

    async def _follow(self) -> None:
        await self.slot.look()
        give_back()
        gc.freeze()  # what was loaded stays; collections look at requests only
        await self.slot.follow(self.serving.poll_seconds)

    def _drain(self) -> None:
        self.app.draining = True

    def _heard(self, rows: list[Row], answers: Answers, day: date | None) -> None:
        self.metrics.answered(answers)
        self.log.offer(rows, answers, day)
        self.shadow.offer(rows, answers)


def token_from(settings: Settings, path: str | None) -> SecretStr:
    """The token: of a file where one is named, else of the environment."""
    if path is None:
        return settings.serve_token
    try:
        with open(path, encoding="utf-8") as file:
            return SecretStr(file.read().strip())
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise ConfigError(
            f"--token-file {path}: cannot be read ({why}); name a file that holds the token"
        ) from None
