"""The slot: the version that answers, and how another takes its place.

The ledger says who is champion. A new one is made ready in a process of its own, loaded and
warmed beside the old one, asked its golden rows, and only then takes over, between two flights.
One that fails any of it is refused, recorded, and the old one answers on. Where the ledger or the
registry cannot be reached, the last verified copy on this machine answers, and says it is stale.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.failpoints import failpoint
from infra.orchestration import QUIET
from infra.storage import Storage
from model_registry import decisions
from model_registry.chain import Head
from model_registry.errors import BundleRefused
from model_registry.ledger import Ledger
from model_registry.state import Champion, State
from serving import places
from serving.engine import Engine, EngineRefused, load
from serving.memory import give_back
from serving.metrics import Metrics
from serving.places import Places
from serving.refused import LedgerGone, NotReady, Refused, told

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 15.0  # for the ledger, when a copy is at hand
READY_SECONDS = 900.0
RETRY_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 120.0  # while registry or artifacts are away
BEAT_SECONDS = 2.0
REFUSED = 3  # exit code of `serving.compiling`
_START = Head()


class Slot:
    """Holds the live version of one pipeline.

    Args:
        name: The pipeline's.
        store: Holds the ledger; refusals are written down there.
        place: Where bundles are kept on this machine.
        public_key: Whose signature they must carry.
        metrics: Told what happens.
        watch_challenger: Also load the challenger in Staging, for the shadow.
    """

    def __init__(
        self,
        name: str,
        store: Storage,
        place: Places,
        public_key: Path,
        metrics: Metrics,
        *,
        watch_challenger: bool = False,
    ) -> None:
        self.name = name
        self.live: Engine | None = None
        self.challenger: Engine | None = None
        self.proposed = False
        self.unshadowed: tuple[Champion, str] | None = None
        self.stale: str | None = None
        self.refused: Refused | None = None
        self.since: int | None = None
        self.changed: Callable[[], None] = lambda: None
        self._store = store
        self._ledger = Ledger(store, name)
        self._place = place
        self._key = public_key
        self._metrics = metrics
        self._watch = watch_challenger
        self._state: State | None = None
        self._newest: Champion | None = None
        self._seen = _START
        self._asked = asyncio.Event()
        self._looking = asyncio.Lock()
        self._pause = self._not_before = 0.0

    async def follow(self, poll_seconds: float) -> None:
        """Look at the ledger for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), poll_seconds)
            self._asked.clear()
            await self.look()

    async def beat(self) -> None:
        """Tell the other processes here for ever what this one serves."""
        while True:
            version = self.live.version if self.live else None
            await asyncio.to_thread(self._place.beat, version, places.now())
            await asyncio.sleep(BEAT_SECONDS)

    def refresh(self) -> None:
        """Look now, and give what was refused another chance."""
        self.refused = None
        self._pause = self._not_before = 0.0
        self._asked.set()

    async def look(self) -> None:
        """Bring the slot to what the ledger says; never raises, and never leaves it worse."""
        async with self._looking:
            try:
                state = await asyncio.wait_for(
                    asyncio.to_thread(self._read), None if self.live else PATIENCE_SECONDS
                )
            except Exception as error:
                await self._fall_back(f"the ledger cannot be read: {told(error)}")
                return
            if state.champion is None:
                await self._fall_back("the ledger names no version in Production")
                return
            await self._bring(state.champion)
            if self._watch and self.stale is None:
                await self._bring_challenger(state)

    async def _bring(self, champion: Champion) -> None:
        if self._is_live(champion):
            self._fresh(champion)
            return
        known = self.refused
        if (
            known
            and known.final
            and (known.digest, known.entry) == (champion.digest, champion.since)
        ):
            return
        if time.monotonic() < self._not_before:
            return
        try:
            engine = await self._engine(champion)
        except NotReady as error:
            self._pause = min(max(2 * self._pause, RETRY_SECONDS), LONGEST_PAUSE_SECONDS)
            self._not_before = time.monotonic() + self._pause
            self._refuse(champion, str(error), final=False)
            await self._fall_back(f"v{champion.version} cannot be made ready: {error}")
        except Exception as error:
            self._refuse(champion, told(error), final=True)
            await self._record()
            if self.live is None:
                await self._fall_back(f"v{champion.version} is refused: {told(error)}")
        else:
            if await self._still_wanted(champion):
                self._swap(champion, engine)
            else:
                logger.info("v%s is not wanted any more; it never answers", champion.version)
                self._asked.set()

    async def _still_wanted(self, champion: Champion) -> bool:
        """Whether the ledger names what took a while to make ready; silent, it said so before."""
        try:
            state = await asyncio.wait_for(asyncio.to_thread(self._read), PATIENCE_SECONDS)
        except Exception as error:
            logger.warning("the ledger cannot be asked again: %s", told(error))
            return True
        return state.champion is not None and _same(state.champion, champion)

    async def _engine(self, champion: Champion) -> Engine:
        """A version loaded and warmed; what is damaged on this machine is fetched once more.

        Raises:
            NotReady: it cannot be fetched now.
            BundleRefused, EngineRefused: it must not serve.
        """
        self.challenger = None  # two versions in memory at most
        at_hand = self._place.is_ready(champion)
        if not at_hand:
            await self._make_ready(champion)
        try:
            engine = await asyncio.to_thread(self._loaded, champion)
        except (BundleRefused, EngineRefused, OSError, ValueError):
            if not at_hand:
                raise
            self._place.forget(champion)
            await self._make_ready(champion)
            engine = await asyncio.to_thread(self._loaded, champion)
        await asyncio.to_thread(self._warm, engine)
        return engine

    def _loaded(self, champion: Champion) -> Engine:
        failpoint("serving_load")
        paths = self._place.bundle(champion), self._place.compiled(champion)
        return load(champion.version, champion.digest, *paths, self._key)

    def _warm(self, engine: Engine) -> None:
        seconds = engine.warm()
        logger.info(
            "v%s loaded and warmed in %.1f s (%s), golden rows to %.1e",
            *(engine.version, seconds, engine.kind, engine.golden_difference),
        )

    async def _make_ready(self, champion: Champion) -> None:
        command = ("-m", "serving.compiling", self.name, champion.version, champion.digest)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, str(self._place.folder)),
            env={**os.environ, **QUIET, "PYTHONWARNINGS": "ignore"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), READY_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else f"ended with {process.returncode}"
            raise (EngineRefused if process.returncode == REFUSED else NotReady)(last[:500])

    def _swap(self, champion: Champion, engine: Engine) -> None:
        before = self.live
        self.live = engine
        self._fresh(champion)
        self.refused = None
        self._pause = self._not_before = 0.0
        self._metrics.took_over(engine, before)
        self._place.note_live(champion)
        self._place.keep_few({engine.digest})
        said = f"v{before.version} before" if before else "the first"
        logger.info("v%s answers from now on (%s)", engine.version, said)
        del before
        give_back()

    def _fresh(self, champion: Champion) -> None:
        self.since = champion.since
        self._set_stale(None)

    async def _fall_back(self, why: str) -> None:
        """Go on with what there is: the live version, or the last verified copy."""
        if self.stale != why:
            logger.warning("stale: %s", why)
        self._set_stale(why)
        last = self._place.last_live() if self.live is None else None
        if last is None:
            return
        try:
            engine = await asyncio.to_thread(self._loaded, last)
            await asyncio.to_thread(self._warm, engine)
        except Exception as error:
            logger.warning("the last copy, v%s, cannot serve: %s", last.version, told(error))
            return
        self.live, self.since = engine, last.since
        self._metrics.took_over(engine, None)

    def _set_stale(self, why: str | None) -> None:
        self.stale = why
        self._metrics.stale.set(why is not None)

    def _refuse(self, champion: Champion, reason: str, *, final: bool) -> None:
        if self.refused is None or self.refused.digest != champion.digest or final:
            kind = "refused" if final else "not ready"
            self._metrics.refused.labels(champion.version, kind).inc()
            level = logging.ERROR if final else logging.WARNING
            logger.log(level, "v%s is %s: %s", champion.version, kind, reason)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        names = (champion.version, champion.digest, champion.since)
        self.refused = Refused(*names, reason, moment, final)

    async def _record(self) -> None:
        """A small object in the store; a store that takes none costs nothing else."""
        if self.refused is None:
            return
        content = {**asdict(self.refused), "serving": self.live.version if self.live else None}
        key = f"serving/{self.name}/refused/{self.refused.version}-{self.refused.digest[:16]}.json"
        try:
            await asyncio.to_thread(self._store.put, key, json.dumps(content, indent=1).encode())
        except Exception as error:
            logger.warning("the refusal is not recorded in the store: %s", told(error))

    async def _bring_challenger(self, state: State) -> None:
        """The newest version that was judged after the champion and waits in Staging."""
        wanted = self._newest
        champion = state.champion
        if wanted is None or champion is None or wanted.since < champion.since:
            self.challenger = None
            return
        if wanted.version in state.barred or wanted.version == champion.version:
            self.challenger = None
            return
        self.proposed = wanted.version in state.proposals
        if self.challenger and self.challenger.digest == wanted.digest:
            return
        self._newest = None  # whatever comes of it, it is tried once
        try:
            self.challenger, self._newest = await self._engine(wanted), wanted
            self.unshadowed = None
        except Exception as error:
            logger.warning("v%s is not shadowed: %s", wanted.version, told(error))
            if not isinstance(error, NotReady):  # what is only away says nothing of it
                self.unshadowed = (wanted, told(error))

    def _read(self) -> State:
        known = self._state
        if known is not None and not self._ledger.has(known.head.number + 1):
            if known.head.number and not self._ledger.has(known.head.number):
                raise LedgerGone(f"entry {known.head.number} was there and is not any more")
            return known
        self._state = decisions.read(self._ledger)
        if self._watch:
            for entry in self._ledger.follow(self._seen):
                self._seen = entry.head
                if entry.kind in {"kept", "proposed"}:
                    body: dict[str, Any] = dict(entry.body)
                    self._newest = Champion(body["version"], body["digest"], entry.number)
        return self._state

    def _is_live(self, champion: Champion) -> bool:
        return self.live is not None and _same(self.live, champion)


def _same(one: Engine | Champion, other: Champion) -> bool:
    return (one.version, one.digest) == (other.version, other.digest)
