"""What is asked of the registry: who asks and why, and what the judgement rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from model_registry.errors import RegistryError
from model_registry.state import Champion


@dataclass(frozen=True)
class Asked:
    """Who wants something, and why.

    Attributes:
        request: Names what is asked; asking again by the same name finds the same answer.
        by: A night, or a person's name.
        why: The reason, in one sentence.
        at: Now, with its time zone.
        person: A person decided this, not a rule: may promote what was rolled back or rejected.
    """

    request: str
    by: str
    why: str
    at: datetime
    person: bool = False

    def __post_init__(self) -> None:
        for name in ("request", "by", "why"):
            if not getattr(self, name).strip():
                raise RegistryError(f"decision: {name} is empty; every decision says {name}")


@dataclass(frozen=True)
class Facts:
    """What a decision rests on, kept so that it can be explained and replayed.

    Attributes:
        logical_date: The night's, ISO 8601.
        digests: Of `data`, `test`, `code`, `configuration` and `lock`.
        seeds: By what they seed.
        metrics: Model, then metric, to its value and the ends of its interval.
        gates: Each gate's verdict: gate, passed, sentence, numbers.
        links: Where to look further: the run's id, the report, and the candidate's name in both.
        test_sketch: Which rows the test set has, as `spending.sketch_of` says it; counts looks.
    """

    logical_date: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, tuple[float, float, float]]] = field(default_factory=dict)
    gates: Sequence[Mapping[str, Any]] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    test_sketch: str = ""


@dataclass(frozen=True)
class Judged:
    """A version, and the champion it was judged against.

    Attributes:
        version: The registered version.
        digest: Of its bundle.
        expected: `State.champion` as it was when the judging began.
        facts: What the judgement rests on.
    """

    version: str
    digest: str
    expected: Champion | None
    facts: Facts | None = None

    def request(self, asked: Asked) -> str:
        """One name for one judgement: judged against another champion, it is another."""
        since = self.expected.since if self.expected else 0
        return f"{asked.request} | v{self.version} against {since}"
