"""What a demonstration is made of: acts, what clients were answered, and what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from tasks.references import Night, Watched

Tone = Literal["good", "bad", "warn", "calm"]


@dataclass(frozen=True)
class Asked:
    """One request of a client.

    Attributes:
        began: When it was sent, in seconds of the story.
        seconds: Until its answer was whole.
        day: Logical date of its tickets.
        version: That answered; None where nothing did.
        known: Tickets whose true topic is known.
        right: Of those, how many were answered with it.
        failure: Why there is no answer; empty where there is one.
    """

    began: float
    seconds: float
    day: date
    version: str | None
    known: int = 0
    right: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Promise:
    """What Nocturne promises, and what was found."""

    said: str
    kept: bool
    found: str


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment, in seconds of the story."""

    at: float
    what: str
    tone: Tone = "calm"


@dataclass
class Act:
    """One part of the story; it grows while it is played.

    Attributes:
        title: What it is about.
        why: What it shows, in a sentence or two.
        began: In seconds of the story.
        ended: The same.
        commands: That were run, as a user writes them.
        verdicts: What Nocturne itself said.
        promises: That were looked at.
        reports: Title and address of pages, relative to the story's own.
    """

    title: str
    why: str
    began: float
    ended: float = 0.0
    commands: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Story:
    """Everything that was played.

    Attributes:
        pipeline: Its name.
        drift: First day of the new language.
        acts: In their order.
        events: In theirs.
        asked: Every request of every client, in the order of their answers.
        nights: Records of the nights.
        watched: Records of the days that were monitored.
        history: The ledger's decisions, as `nocturne history --json` gives them.
        again: Commands that go on from here.
    """

    pipeline: str
    drift: date
    acts: list[Act] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    nights: list[Night] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[Promise]:
        """Promises that were not kept."""
        return [one for act in self.acts for one in act.promises if not one.kept]
