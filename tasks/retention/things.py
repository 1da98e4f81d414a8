"""Everything that retention looks at, one by one: what it is, how large, and why it stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.storage import Storage, Stored
from model_registry.errors import VersionUnfit
from model_registry.runs import Finished, Runs
from model_registry.state import State
from model_registry.store import Registry
from model_registry.versions import CHALLENGER, CHAMPION, FILES_GONE, PRODUCTION, Version
from tasks.retention.needs import Needs

YOUNG = "younger than safe_hours"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
# in the order of deletion: what names another thing goes before it
KINDS = (
    "versions",
    "runs",
    "reference rows",
    "live inputs",
    "drift reports",
    "quarantine",
    "reports",
    "snapshots",
)


@dataclass(frozen=True)
class Thing:
    """One thing that is kept, or goes.

    Attributes:
        kind: Entry of `KINDS`.
        name: Its key in the store, its version, or its run's id.
        day: Its logical date, or the day it was written where it has none; ISO 8601.
        why: Why it stays; None where it goes.
        size: Bytes; None where it stays in MLflow, which is not asked for that.
        about: What MLflow knows of it; None for an object of the store.
    """

    kind: str
    name: str
    day: str
    why: str | None
    size: int | None = None
    about: Version | Finished | None = None


def unneeded(
    found: list[Version], kept: Mapping[str, str], state: State, safe_since: datetime
) -> dict[str, str]:
    """Version to digest, of what a policy would let go and the ledger does not know as gone."""
    going = {}
    for one in found:
        why = kept.get(one.version) or _shown(one) or _too_young(one, safe_since)
        if why is None and one.digest and one.version not in state.pruned:
            going[one.version] = one.digest
    return going


def _shown(version: Version) -> str | None:
    """Why MLflow's own page speaks for a version; the ledger is right, but need not be hurried."""
    if version.stage == PRODUCTION:
        return "Production in MLflow"
    named = {CHAMPION, CHALLENGER} & set(version.aliases)
    return f"alias {sorted(named)[0]} in MLflow" if named else None


def _too_young(version: Version, safe_since: datetime) -> str | None:
    return YOUNG if _at(version.created / 1000) >= safe_since else None


def staying(
    found: list[Version], kept: Mapping[str, str], gone: Set[str], safe_since: datetime
) -> dict[str, str]:
    """Version to why it stays: every one that is not gone by the ledger, whatever the policy."""
    reasons = dict(kept)
    for one in found:
        other = "not recorded as pruned" if one.digest else "not made by Nocturne"
        why = _shown(one) or _too_young(one, safe_since) or other
        reasons.setdefault(one.version, why)
    return {version: why for version, why in reasons.items() if version not in gone}


def in_registry(
    registry: Registry, found: list[Version], gone: Set[str], needs: Needs
) -> Iterator[Thing]:
    """Versions whose files are there, those with an unfinished deletion among them."""
    for one in found:
        if one.tags.get(FILES_GONE) == "yes":
            continue
        day = _at(one.created / 1000).date().isoformat()
        if one.version not in gone:
            yield Thing("versions", one.version, day, needs.versions[one.version], None, one)
            continue
        try:
            size = registry.size(one)
        except VersionUnfit as error:
            yield Thing("versions", one.version, day, str(error), None, one)
            continue
        yield Thing("versions", one.version, day, None, size, one)


def in_runs(runs: Runs, needs: Needs, now: datetime) -> Iterator[Thing]:
    """Runs of nights and of monitored days, each with the runs inside it."""
    for run in runs.finished(now.timestamp(), ("night", "monitoring")):
        why = needs.runs.get(run.run_id)
        if run.kind == "night":
            why = why or needs.nights.get(run.logical_date)
        elif run.logical_date >= needs.live_since:
            why = why or "one of the newest live days"
        if not _DATE.match(run.logical_date):
            why = why or "names no night"
        if _at(run.ended) >= needs.safe_since:
            why = why or YOUNG
        size = runs.size(run) if why is None else None
        yield Thing("runs", run.run_id, run.logical_date, why, size, run)


def in_store(name: str, storage: Storage, needs: Needs) -> Iterator[Thing]:
    """Rows, reports and logs of a pipeline in the store; its small records are never looked at."""

    def held(kind: str, prefix: str, ending: str, by: Mapping[str, str]) -> Iterator[Thing]:
        for one in storage.listed(f"{prefix}/{name}/"):
            known = one.key.removeprefix(f"{prefix}/{name}/").removesuffix(ending)
            if one.key.endswith(ending) and "/" not in known:
                yield _thing(kind, one, known, by.get(known), needs)

    yield from held("snapshots", "snapshots", ".parquet", needs.snapshots)
    yield from held("quarantine", "quarantine", ".parquet", needs.nights)
    yield from held("reports", "reports", ".html", needs.nights)
    yield from held("reference rows", "references", ".parquet", needs.versions)
    for kind, prefix in (("live inputs", "requests"), ("drift reports", "monitoring")):
        for one in storage.listed(f"{prefix}/{name}/"):
            day = one.key.removeprefix(f"{prefix}/{name}/")[:10]
            if _DATE.match(day) and not one.key.endswith(".json"):
                why = "one of the newest live days" if day >= needs.live_since else None
                yield _thing(kind, one, day, why, needs)


def _thing(kind: str, one: Stored, known: str, why: str | None, needs: Needs) -> Thing:
    if one.written >= needs.safe_since:
        why = why or YOUNG
    day = known if _DATE.match(known) else one.written.astimezone(UTC).date().isoformat()
    return Thing(kind, one.key, day, why, one.size)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
