"""A night again, from what the ledger and the store kept of it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.settings import Settings
from infra.storage import NotFound, Storage, open_storage
from model_registry import signing
from model_registry.state import Champion
from model_registry.store import Registry
from tasks.config import ConfigError, Pipeline
from tasks.inference.fetching import fetched
from tasks.promotions import open_promotions, request_of
from tasks.references import Snapshot
from tasks.replaying import pipeline_in, replayed

if TYPE_CHECKING:
    from model_registry.chain import Entry


def replay(pipeline: Pipeline, day: date) -> dict[str, Any]:
    """Compute a night's challenger again and say whether it is the same.

    Nothing is registered, recorded or promoted.

    Args:
        pipeline: Which ledger; what is computed is the configuration in the night's bundle.
        day: The night.

    Returns:
        Night, version, candidate, verdict, largest difference and what changed.

    Raises:
        ConfigError: the ledger holds no decision on that night, or the store not its rows.
        BundleRefused: the version is not what was registered.
        RegistryError: it is not there any more, or MLflow does not answer.
    """
    settings = Settings()
    storage = open_storage(settings)
    entry = _decided(pipeline, day)
    facts = entry.body["facts"]
    _refuse_pruned(pipeline, day, entry.body["version"])
    champion = Champion(entry.body["version"], entry.body["digest"], entry.number)
    clean = _clean_rows(pipeline, day, storage)
    key = signing.public_key_of(settings.signing_key)
    settings.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="replay-", dir=settings.work) as scratch:
        folder = Path(scratch)
        registry = Registry(settings.mlflow_uri)
        bundle, _ = fetched(registry, pipeline.name, champion, folder / "bundles", key)
        candidate = facts["links"]["candidate"]
        found = replayed(
            pipeline_in(bundle),
            candidate,
            clean,
            bundle,
            facts["digests"],
            folder=folder,
            storage=storage,
        )
    return {
        "night": day.isoformat(),
        "version": champion.version,
        "candidate": candidate,
        "ledger_entry": entry.number,
        **asdict(found),
    }


def _decided(pipeline: Pipeline, day: date) -> Entry:
    """The entry that decided on a night's challenger.

    Raises:
        ConfigError: there is none, with those there are.
    """
    entries = [
        entry
        for entry in open_promotions(pipeline).ledger.follow()
        if (entry.body.get("facts") or {}).get("logical_date") and entry.kind != "refused"
    ]
    for entry in reversed(entries):
        if entry.request.startswith(request_of(day)) and "digest" in entry.body:
            return entry
    known = ", ".join(sorted({entry.body["facts"]["logical_date"] for entry in entries})) or "none"
    raise ConfigError(f"replay {day}: the ledger holds no decision on it; there are: {known}")


def _refuse_pruned(pipeline: Pipeline, day: date, version: str) -> None:
    pruned = open_promotions(pipeline).state().pruned.get(version)
    if pruned is not None:
        raise ConfigError(
            f"replay {day}: retention let the files of v{version} go (ledger entry {pruned}); "
            f"only a version that is kept can be replayed: retention.nights is "
            f"{pipeline.retention.nights}"
        )


def _clean_rows(pipeline: Pipeline, day: date, storage: Storage) -> Snapshot:
    key = f"validations/{pipeline.name}/{day.isoformat()}.json"
    try:
        return Snapshot.model_validate(json.loads(storage.get(key))["clean"])
    except NotFound:
        raise ConfigError(f"replay {day}: {key} is gone from {storage.uri}; restore it") from None
