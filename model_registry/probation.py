"""Probation: is a new champion worse than its predecessor on rows that neither has learnt from?

For some nights after a promotion, labelled rows that have come since judge both again, with the
gate's own paired comparison. Each night's look has more rows than the one before, so that all
looks may err alike: `alpha` is shared out evenly among them, and together they demote a champion
that is no worse with at most this chance (the union bound; `spending` says more).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_registry.chain import Entry
from model_registry.decisions import APPROVE, PROMOTE, state_of
from model_registry.errors import GateError
from model_registry.spending import even_level_of
from model_registry.state import Champion
from model_registry.statistics import Difference, paired_difference


@dataclass(frozen=True)
class Terms:
    """How a champion is watched.

    Attributes:
        looks: Nights with rows enough that judge it.
        alpha: Chance that all of them together demote a champion that is no worse.
        margin: A loss of the metric that is borne.
        metric: Entry of `statistics.METRICS`.
        confidence: Level of the interval that is shown.
        samples: Resamples behind it.
        seed: Of the resampling.
    """

    looks: int
    alpha: float
    margin: float
    metric: str
    confidence: float = 0.95
    samples: int = 1_000
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """A champion on probation, and whom it replaced.

    Attributes:
        champion: By the verdict of a night, or approved after it.
        predecessor: In Production before it.
        snapshots: Digests of the rows from which each was made; None where nobody knows.
    """

    champion: Champion
    predecessor: Champion
    snapshots: tuple[str | None, str | None]


@dataclass(frozen=True)
class Said:
    """What one version said of the rows.

    Attributes:
        version: The registered version.
        classes: Names of the columns.
        probabilities: `(rows, classes)`.
    """

    version: str
    classes: Sequence[str]
    probabilities: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        difference: Champion less predecessor.
        look: Which it is, from 1.
        level: Its one-sided significance level.
        worse: The champion is worse by more than the margin.
        sentence: All of it in words.
    """

    difference: Difference
    look: int
    level: float
    worse: bool
    sentence: str

    @property
    def numbers(self) -> dict[str, Any]:
        """As the ledger keeps them."""
        counted = {"look": self.look, "level": self.level, "p": self.difference.p}
        return {**asdict(self.difference), **counted}


def on_probation(entries: Sequence[Entry]) -> Trial | None:
    """Who is on probation after all entries of a ledger; None where nobody is.

    A champion that a person put there, or that was gone back to, is nobody's to demote.
    """
    state = state_of(entries)
    champion = state.champion
    if champion is None or not state.past or state.pending is not None:
        return None
    (intent,) = (entry for entry in entries if entry.number == champion.since)
    action, by_person = intent.body["action"], intent.body.get("person")
    if action != APPROVE and (action != PROMOTE or by_person):
        return None
    predecessor = state.past[-1]
    made_from = (_made_from(entries, one.version) for one in (champion, predecessor))
    return Trial(champion, predecessor, tuple(made_from))  # type: ignore[arg-type]


def judge(
    labels: Sequence[str], champion: Said, predecessor: Said, *, look: int, terms: Terms
) -> Finding:
    """One look at both versions, on the rows of those classes that both know.

    Args:
        labels: `(rows,)` names of the true classes.
        champion: What it said of the rows.
        predecessor: What it said of the same rows.
        look: Which look this is, from 1.
        terms: How it is watched.

    Raises:
        GateError: rows that do not fit each other, or none of a class that both know.
    """
    shared = [name for name in champion.classes if name in predecessor.classes]
    place = {name: at for at, name in enumerate(shared)}
    rows = np.array([name in place for name in labels], bool)
    if not rows.any():
        raise GateError(
            f"probation of v{champion.version}: none of {len(labels)} rows is of a class that "
            f"v{predecessor.version} knows too; nothing can be compared"
        )
    found = paired_difference(
        np.array([place[name] for name in labels if name in place], np.int64),
        *(_answers(said, place)[rows] for said in (champion, predecessor)),
        classes=len(shared),
        metric=terms.metric,
        samples=terms.samples,
        confidence=terms.confidence,
        seed=terms.seed,
    )
    level = even_level_of(look, alpha=terms.alpha, life=terms.looks)
    worse = found.at_most(level) < -terms.margin
    said = _told(found, champion, predecessor, look, level, terms, worse=worse)
    return Finding(found, look, level, worse, said)


def _made_from(entries: Sequence[Entry], version: str) -> str | None:
    """Digest of the snapshot of the night that judged a version last."""
    facts: list[Mapping[str, Any]] = [
        entry.body["facts"]
        for entry in entries
        if entry.body.get("facts") and entry.body["version"] == version
    ]
    found = (one["digests"].get("data") for one in reversed(facts))
    return next((digest for digest in found if digest), None)


def _answers(said: Said, place: Mapping[str, int]) -> NDArray[np.int64]:
    """The likeliest class of each row, by its place among the shared; beyond them any other."""
    names = np.array([place.get(name, len(place)) for name in said.classes], np.int64)
    answers: NDArray[np.int64] = names[said.probabilities.argmax(axis=1)]
    return answers


def _told(
    found: Difference,
    champion: Said,
    predecessor: Said,
    look: int,
    level: float,
    terms: Terms,
    *,
    worse: bool,
) -> str:
    word = "worse than" if worse else "not shown to be worse than"
    p = "p < 0.001" if found.p < 0.0005 else f"p {found.p:.3f}"
    return (
        f"v{champion.version} is {word} its predecessor v{predecessor.version}: {found.metric} "
        f"{found.first:.4f} against {found.second:.4f} on {found.rows:,} labelled rows that "
        f"neither learnt from: {found.difference:+.4f}, {terms.confidence:.0%} CI "
        f"[{found.low:+.4f}, {found.high:+.4f}], {p}; look {look} of {terms.looks}, level "
        f"{level:.2g}: at most {found.at_most(level):+.4f}, demoted below {-terms.margin:+.4f}"
    )
