"""What must stay, each with why: by the pipeline's policy, and by the ledger whatever that says.

A version is kept with all that makes it again or tells about it: its bundle, run, reference
rows, the report of its night and the rows that it was made from. One whose files go is recorded
in the ledger first, and nothing is asked of it any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra.storage import NotFound, Storage
from model_registry.chain import Entry
from model_registry.state import State
from tasks import nights
from tasks.config import Pipeline
from tasks.datasets import snapshots


@dataclass(frozen=True)
class Needs:
    """What stays.

    Attributes:
        versions: Version to why.
        nights: Logical date to why; of the policy's nights, and of kept versions.
        snapshots: Digest to why.
        runs: Id of an MLflow run to why.
        live_since: First logical date whose live inputs stay, ISO 8601.
        safe_since: What was written since then stays; with its time zone.
    """

    versions: Mapping[str, str]
    nights: Mapping[str, str]
    snapshots: Mapping[str, str]
    runs: Mapping[str, str]
    live_since: str
    safe_since: datetime


def newest_nights(pipeline: Pipeline, storage: Storage) -> list[str]:
    """The logical dates of the newest nights that left anything, oldest first."""
    took = snapshots.noted(pipeline.name, storage)
    found = {*nights.recorded(pipeline.name, storage), *took}
    return sorted(found)[-pipeline.retention.nights :]


def kept_versions(
    state: State, entries: Iterable[Entry], dates: Iterable[str], versions: int
) -> dict[str, str]:
    """Version to why it stays; the ledger's own needs come first.

    Args:
        state: Where the pipeline stands.
        entries: All of its ledger.
        dates: Logical dates of the nights that are kept.
        versions: Earlier champions that can be gone back to.
    """
    found, kept = dict(state.needed), set(dates)
    earlier = list(dict.fromkeys(one.version for one in reversed(state.past)))
    for version in earlier[:versions]:
        found.setdefault(version, "an earlier champion")
    for entry in entries:
        if _facts(entry).get("logical_date") in kept:
            version = str(entry.body["version"])
            found.setdefault(version, "of a kept night")
    return found


def needs_of(
    pipeline: Pipeline,
    storage: Storage,
    entries: Sequence[Entry],
    dates: Sequence[str],
    versions: Mapping[str, str],
    now: datetime,
) -> Needs:
    """Everything that the kept nights and versions need.

    Args:
        pipeline: Its `retention` says how much.
        storage: Holds the notes of nights.
        entries: All of its ledger.
        dates: Logical dates of the nights that are kept.
        versions: Version to why it is kept: all that are not recorded as pruned.
        now: With a time zone.

    Raises:
        StorageError: the store does not answer; nothing may be deleted then.
    """
    policy = pipeline.retention
    kept = dict.fromkeys(dates, f"one of the newest {policy.nights} nights")
    needed: dict[str, str] = {}
    runs: dict[str, str] = {}
    for entry in entries:
        facts = _facts(entry)
        version = str(entry.body["version"]) if facts else ""
        if version not in versions:
            continue
        why = f"of v{version}, {versions[version]}"
        kept.setdefault(facts["logical_date"], why)
        needed[facts.get("digests", {}).get("data", "")] = why
        runs[facts.get("links", {}).get("run", "")] = why
    for day, why in kept.items():
        needed |= dict.fromkeys(_digests(pipeline.name, day, storage), why)
    days = max(policy.live_days, pipeline.monitoring.label_days + 1)
    live_since = (now.date() - timedelta(days=days - 1)).isoformat()
    return Needs(versions, kept, needed, runs, live_since, safe_since(pipeline, now))


def safe_since(pipeline: Pipeline, now: datetime) -> datetime:
    """What was written since then is never deleted: somebody may be about to use it."""
    return now - timedelta(hours=pipeline.retention.safe_hours)


def _digests(name: str, day: str, storage: Storage) -> Iterable[str]:
    """Snapshots that a night took in, made of it, and learnt words from."""
    took = _noted(storage, snapshots.note_key(name, day))
    clean = _noted(storage, f"validations/{name}/{day}.json").get("clean") or {}
    found = (took.get("digest"), clean.get("digest"), clean.get("unlabelled"))
    return [digest for digest in found if digest]


def _noted(storage: Storage, key: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(storage.get(key))
    except NotFound:
        return {}
    return found


def _facts(entry: Entry) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = entry.body.get("facts") or {}
    return facts
