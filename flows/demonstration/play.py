"""One demonstration while it is played: its clock, its clients, its acts, its promises."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from flows.demonstration.crowd import Crowd
from flows.demonstration.stage import Stage, settings_of
from flows.demonstration.telling import Teller
from flows.demonstration.upstream import TicketSystem
from infra.storage import Storage, open_storage
from tasks import nights, watched_days
from tasks.config import Pipeline
from tasks.demonstration.story import Act, Event, Promise, Story, Tone
from tasks.references import Night, Watched

DATABASE = "NOCTURNE_DEMO_DATABASE"
SWAP_SECONDS = 300.0  # patience; what it took is told


class BrokenPromise(RuntimeError):
    """A promise of the story was not kept; what comes after it would mean nothing."""


class Play:
    """What the acts share.

    Args:
        conf: Pipeline file.
        pipeline: What it says.
        folder: Of everything that is left.
        drift: First day of the new language.
        teller: Says what happens.
    """

    def __init__(
        self, conf: Path, pipeline: Pipeline, folder: Path, drift: date, teller: Teller
    ) -> None:
        self.conf, self.pipeline, self.folder, self.teller = conf, pipeline, folder, teller
        self.story = Story(pipeline.name, drift)
        self.tickets = TicketSystem(folder / "tickets.sqlite")
        self.variables = {"NOCTURNE_HOME": str(folder), DATABASE: self.tickets.url}
        self.stage = Stage(folder, self.variables, teller.aside)
        self.store: Storage = open_storage(settings_of(folder))
        self._zero = time.time()
        self.crowd = Crowd(self.clock, drift)

    def clock(self) -> float:
        """Seconds of the story."""
        return time.time() - self._zero

    @contextmanager
    def act(self, title: str, why: str) -> Iterator[Act]:
        """An act, from its title to its end."""
        act = Act(title, why, self.clock())
        self.story.acts.append(act)
        self.teller.act(len(self.story.acts), title, why, act.began)
        try:
            yield act
        finally:
            act.ended = self.clock()

    def event(self, what: str, tone: Tone, at: float | None = None) -> None:
        """Something happened, now or at some second of the story."""
        self.story.events.append(Event(self.clock() if at is None else at, what, tone))

    def promise(self, said: str, *, kept: bool, found: str) -> None:
        """Look at a promise.

        Raises:
            BrokenPromise: it was not kept.
        """
        promise = Promise(said, kept, found)
        self.story.acts[-1].promises.append(promise)
        self.teller.promise(promise)
        if not kept:
            raise BrokenPromise(f"{said}: {found}")

    def nocturne(self, verb: str, *options: str) -> tuple[int, str]:
        """Run a verb on the pipeline; exit code and answer."""
        self.say_command(verb, *options)
        return self.stage.nocturne(verb, str(self.conf), *options)

    def say_command(self, verb: str, *options: str) -> None:
        """Tell that a verb runs, as a user writes it."""
        said = " ".join(["nocturne", verb, os.path.relpath(self.conf), *map(_quoted, options)])
        self.story.acts[-1].commands.append(said)
        self.teller.command(said)

    def night(self, day: date) -> tuple[int, Night]:
        """Run a night; exit code and record.

        Raises:
            BrokenPromise: it left no record.
        """
        code, _ = self.nocturne("retrain", "--date", day.isoformat())
        found = nights.load(self.pipeline.name, day, self.store)
        if found is None:
            raise self._without_record(code)
        self.story.nights.append(found)
        self.verdict(f"{found.outcome}: {found.reason}")
        if found.report:
            self.link(f"night report of {day}", found.report)
        return code, found

    def monitored(self, day: date) -> tuple[int, Watched]:
        """Let monitoring look at a day; exit code and record.

        Raises:
            BrokenPromise: it left no record.
        """
        code, _ = self.nocturne("monitor", "--date", day.isoformat())
        found = watched_days.load(self.store, self.pipeline.name, day)
        if found is None:
            raise self._without_record(code)
        self.story.watched.append(found)
        self.verdict(found.reason)
        page = watched_days.page(settings_of(self.folder), found)
        self.link(f"drift report of {day}", str(page))
        return code, found

    def _without_record(self, code: int) -> BrokenPromise:
        command = self.story.acts[-1].commands[-1]
        promise = Promise(f"`{command}` leaves a record", kept=False, found=f"exit code {code}")
        self.story.acts[-1].promises.append(promise)
        return BrokenPromise(f"{promise.said}: {promise.found}")

    def verdict(self, sentence: str) -> None:
        """What Nocturne itself said of what the act did."""
        self.story.acts[-1].verdicts.append(sentence)
        self.teller.verdict(sentence)

    def link(self, title: str, path: str) -> None:
        """A page that the act left."""
        self.story.acts[-1].reports.append((title, os.path.relpath(path, self.folder)))

    def history(self) -> list[dict[str, Any]]:
        """The ledger's decisions so far."""
        _, said = self.stage.nocturne("history", str(self.conf), "--json")
        found: list[dict[str, Any]] = json.loads(said)
        self.story.history = found
        return found

    def live(self, version: str, decision: str, tone: Tone) -> None:
        """Wait until clients are answered by the version that the ledger named last.

        Args:
            version: The champion now.
            decision: What made it so, in a word or two.
            tone: Of the decision.

        Raises:
            BrokenPromise: it does not come.
        """
        decided = datetime.fromisoformat(self.history()[-1]["at"]).timestamp() - self._zero
        self.event(decision, tone, decided)
        first = self.wait(lambda: self._first(version, decided), SWAP_SECONDS)
        kept = first is not None
        seconds = (first or self.clock()) - decided
        found = f"{seconds:.1f} s after the ledger's entry" if kept else f"not in {seconds:.0f} s"
        self.promise(f"the running server answers with v{version}", kept=kept, found=found)
        self.event(f"v{version} live", "calm", decided + seconds)

    def _first(self, version: str, since: float) -> float | None:
        """When a version's first answer came since a decision."""
        answers = (
            one for one in list(self.crowd.asked) if one.version == version and one.began > since
        )
        return min((one.began + one.seconds for one in answers), default=None)

    def no_failure(self) -> None:
        """Look whether every request so far was answered.

        Raises:
            BrokenPromise: one was not.
        """
        asked = list(self.crowd.asked)
        failed = [one for one in asked if one.version is None]
        why = f"; the first: {failed[0].failure}" if failed else ""
        found = f"{len(failed)} of {len(asked):,} failed{why}"
        self.promise("no request failed", kept=not failed, found=found)

    def wait(self, ready: Callable[[], Any], seconds: float) -> Any:
        """What `ready` gives once it gives something; None after so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = ready()
            if found:
                return found
            time.sleep(0.2)
        return None


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
