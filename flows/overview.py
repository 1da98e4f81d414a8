"""One question about many pipelines: who serves, how did each last night end, what is due?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.orchestration import prefect_runs
from infra.settings import Settings
from infra.storage import Storage, open_storage
from model_registry.decisions import state_of
from model_registry.ledger import Ledger
from tasks import nights
from tasks.config import ConfigError, Pipeline
from tasks.pipeline_file import load_pipeline

AT_ONCE, PAGES = 200, 5  # runs that Prefect gives in one answer, and answers asked for


def overview(folder: Path) -> list[dict[str, Any]]:
    """One row for each pipeline file of a folder, in the order of their names.

    Reads the ledger's head and one record a pipeline; no night is reaped and MLflow is not asked.

    Args:
        folder: Holds the YAML files. One that cannot be read is a row that says why.

    Raises:
        ConfigError: no pipeline file in the folder.
        StorageError: the store does not answer.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder}: holds no pipeline file; `nocturne init DATA` writes one")
    settings = Settings()
    storage = open_storage(settings)
    due, silent = _due(settings.prefect_url)
    return [{**_row(path, storage, due), "prefect_silent": silent} for path in files]


def _row(path: Path, storage: Storage, due: dict[str, str] | str) -> dict[str, Any]:
    try:
        pipeline = load_pipeline(path)
    except ConfigError as error:
        return {"pipeline": path.stem, "file": str(path), "broken": str(error)}
    return {"pipeline": pipeline.name, "file": str(path)} | _known(pipeline, storage, due)


def _known(pipeline: Pipeline, storage: Storage, due: dict[str, str] | str) -> dict[str, Any]:
    ledger = Ledger(storage, pipeline.name)
    state = state_of(ledger.follow())
    entry = ledger.entry(state.champion.since) if state.champion else None
    last = next(iter(nights.recent(pipeline.name, storage, 1)), None)
    metric = pipeline.evaluation.metric
    return {
        "champion": state.champion.version if state.champion else None,
        "since": entry.at if entry else None,
        "waiting": sorted(state.proposals, key=int),
        "last_night": last.logical_date if last else None,
        "outcome": last.outcome if last else None,
        "reason": last.reason if last else None,
        "metric": metric,
        "value": last.test_metrics.get(metric) if last else None,
        "schedule": f"{pipeline.schedule.cron} ({pipeline.schedule.timezone})",
        "due": due if isinstance(due, str) else due.get(pipeline.name, "not served"),
    }


def _due(url: str) -> tuple[dict[str, str] | str, str | None]:
    """Pipeline to when its next night is due, or a word; and why Prefect does not say it."""
    if not url:
        return "no server", None
    query = {
        "flows": {"name": {"any_": ["retrain"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": AT_ONCE,
    }
    found: dict[str, str] = {}
    try:
        for page in range(PAGES):
            runs = prefect_runs(url, {**query, "offset": page * AT_ONCE})
            for run in runs:
                name = run["parameters"].get("pipeline", {}).get("name", "")
                found.setdefault(name, run["expected_start_time"])
            if len(runs) < AT_ONCE:
                break
    except (OSError, ValueError) as error:
        return "unknown", f"Prefect at {url} does not answer: {error}"
    return found, None
