"""What clients saw, as numbers: terms of versions, rates, percentiles, accuracy by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.demonstration.story import Asked
from tasks.evaluation.intervals import wilson


@dataclass(frozen=True)
class Term:
    """A stretch of time in which one version was live, as clients saw it.

    Attributes:
        version: That answered.
        began: When its first answer came, in seconds of the story.
        ended: When its last did.
        requests: How many it answered.
        late: Answers of another version to requests sent after its first answer had come.
    """

    version: str
    began: float
    ended: float
    requests: int
    late: int


def order(history: Iterable[Mapping[str, Any]]) -> list[str]:
    """The versions in the order in which the ledger put them into Production."""
    return [str(one["after"]) for one in history if one["after"] and one["after"] != one["before"]]


def terms(asked: Iterable[Asked], versions: Sequence[str]) -> list[Term]:
    """Who answered when.

    Args:
        asked: Every request.
        versions: In the order in which they were live.

    Returns:
        A term of each version that clients saw, in that order.
    """
    answered = sorted((one for one in asked if one.version), key=_came)
    found: list[Term] = []
    for one in answered:
        coming = versions[len(found)] if len(found) < len(versions) else None
        if coming is not None and one.version == coming:
            found.append(Term(coming, _came(one), _came(one), 0, 0))
        if not found:
            continue
        term = found[-1]
        own = one.version == term.version
        late = not own and one.began > term.began
        ended = _came(one) if own else term.ended
        found[-1] = Term(term.version, term.began, ended, term.requests + own, term.late + late)
    return found


def _came(one: Asked) -> float:
    return one.began + one.seconds


@dataclass(frozen=True)
class Rates:
    """Load over time, one entry a bucket.

    Attributes:
        times: Middle of each bucket in seconds of the story, `(buckets,)`.
        answered: Version to answers a second, `(buckets,)`.
        failed: Requests without an answer a second, `(buckets,)`.
        median: Milliseconds, `(buckets,)`; NaN where nothing was answered.
        p99: The same of the slowest hundredth.
    """

    times: NDArray[np.float64]
    answered: dict[str, NDArray[np.float64]]
    failed: NDArray[np.float64]
    median: NDArray[np.float64]
    p99: NDArray[np.float64]


def rates(asked: Sequence[Asked], width: float) -> Rates:
    """Answers a second and their latency, in buckets of `width` seconds; at least one request."""
    began = np.array([one.began for one in asked])
    place = ((began - began.min()) // width).astype(np.int64)
    buckets = int(place.max()) + 1
    versions = np.array([one.version or "" for one in asked])
    counts = {
        str(name): np.bincount(place[versions == name], minlength=buckets) / width
        for name in np.unique(versions)
    }
    failed = counts.pop("", np.zeros(buckets))
    milliseconds = np.array([1_000 * one.seconds for one in asked])
    inside = [milliseconds[(place == at) & (versions != "")] for at in range(buckets)]
    quantiles = np.array(
        [np.quantile(each, (0.5, 0.99)) if len(each) else (np.nan, np.nan) for each in inside]
    )
    times = began.min() + (np.arange(buckets) + 0.5) * width
    return Rates(times, counts, failed, quantiles[:, 0], quantiles[:, 1])


@dataclass(frozen=True)
class Accuracy:
    """How often a version was right on a day, with its Wilson interval."""

    day: date
    version: str
    rows: int
    value: float
    low: float
    high: float


def accuracies(asked: Iterable[Asked]) -> list[Accuracy]:
    """Live accuracy by the stream's own topics, of each day and version, in their order."""
    tally: dict[tuple[date, str], list[int]] = {}
    for one in asked:
        if one.version and one.known:
            counts = tally.setdefault((one.day, one.version), [0, 0])
            counts[0] += one.right
            counts[1] += one.known
    found = []
    for (day, version), (right, rows) in sorted(tally.items()):
        found.append(Accuracy(day, version, rows, right / rows, *wilson(right, rows)))
    return found


def pooled(asked: Iterable[Asked], version: str, since: date, until: date) -> Accuracy | None:
    """Accuracy of a version over some days, both ends among them; None where it had no rows."""
    chosen = [one for one in asked if one.version == version and since <= one.day <= until]
    right, rows = sum(one.right for one in chosen), sum(one.known for one in chosen)
    if not rows:
        return None
    return Accuracy(since, version, rows, right / rows, *wilson(right, rows))
