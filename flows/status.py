"""One question: who serves, how did the last nights end, and what is scheduled?"""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

from flows.reaping import reap
from infra.settings import Settings
from infra.storage import open_storage
from model_registry.store import Registry
from tasks import nights
from tasks.config import Pipeline

NIGHTS = 10


def status_of(pipeline: Pipeline) -> dict[str, Any]:
    """The answer as plain values: champion, nights (newest first) and schedule."""
    settings = Settings()
    metric = pipeline.evaluation.metric
    storage = open_storage(settings)
    died = reap(pipeline.name, settings, storage)
    found = nights.recent(pipeline.name, storage, NIGHTS)
    champion = Registry(settings.mlflow_uri).champion(pipeline.name)
    return {
        "pipeline": pipeline.name,
        "metric": metric,
        "champion": None
        if champion is None
        else {
            "version": champion.version,
            "reason": champion.tags.get("reason", "promoted outside Nocturne"),
            "digest": champion.tags.get("digest"),
        },
        "nights": [
            {
                "logical_date": night.logical_date,
                "outcome": night.outcome,
                "reason": night.reason,
                "version": night.version,
                "metric": night.test_metrics.get(metric),
                "finished_at": night.finished_at,
            }
            for night in found
        ],
        "died": died,
        "champion_too_old": nights.too_old(
            pipeline.schedule,
            pipeline.name,
            champion.version if champion else None,
            datetime.now(UTC),
            storage,
        ),
        "schedule": f"{pipeline.schedule.cron} ({pipeline.schedule.timezone})",
        "served": _served(pipeline, settings),
    }


def _served(pipeline: Pipeline, settings: Settings) -> str:
    """Whether a Prefect server has the deployment and when its next night is due."""
    url = settings.prefect_url
    if not url:
        return "no Prefect server is set; `nocturne schedule` serves it with one of its own"
    query = {
        "deployments": {"name": {"any_": [pipeline.name]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    request = urllib.request.Request(  # noqa: S310 - the address the user set
        f"{url}/flow_runs/filter", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            runs = json.load(response)
    except OSError as error:
        return f"Prefect at {url} does not answer: {error}"
    if not runs:
        return "not served: no night is due; run `nocturne schedule`"
    return f"next night due {runs[0]['expected_start_time']}"
