"""One question: who serves, how did the last nights end, and what is scheduled?"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any

from flows.reaping import reap
from infra.orchestration import prefect_runs
from infra.settings import Settings
from infra.storage import Storage, open_storage
from model_registry.planning import named
from model_registry.probation import on_probation
from model_registry.protocol import Promotions
from model_registry.state import State
from tasks import leases, nights, probations
from tasks.config import Pipeline
from tasks.promotions import open_promotions, request_of

NIGHTS = 10


def status_of(pipeline: Pipeline) -> dict[str, Any]:
    """The answer as plain values: champion, nights (newest first) and schedule.

    The ledger says who is champion; MLflow is not asked and may be away.
    """
    settings = Settings()
    metric = pipeline.evaluation.metric
    storage = open_storage(settings)
    died = reap(pipeline.name, settings, storage)
    found = nights.recent(pipeline.name, storage, NIGHTS)
    promotions = open_promotions(pipeline, settings)
    state = promotions.state()
    return {
        "pipeline": pipeline.name,
        "metric": metric,
        "champion": _champion(promotions, state),
        "probation": _probation(pipeline, promotions, state, storage),
        "running": _running(pipeline, storage),
        "unfinished": _unfinished(state) or _undecided(pipeline, promotions, storage),
        "waiting": sorted(state.proposals, key=int),
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
            state.champion.version if state.champion else None,
            datetime.now(UTC),
            storage,
        ),
        "schedule": f"{pipeline.schedule.cron} ({pipeline.schedule.timezone})",
        "served": _served(pipeline, settings),
    }


def _champion(promotions: Promotions, state: State) -> dict[str, Any] | None:
    champion = state.champion
    if champion is None:
        return None
    entry = promotions.ledger.entry(champion.since)
    return {
        "version": champion.version,
        "digest": champion.digest,
        "entry": champion.since,
        "since": entry.at if entry else None,
        "by": entry.by if entry else None,
        "reason": entry.why if entry else None,
    }


def _probation(
    pipeline: Pipeline, promotions: Promotions, state: State, storage: Storage
) -> str | None:
    """How the champion stands beside its predecessor, while it is watched."""
    nights_in_all, champion = pipeline.policy.probation.nights, state.champion
    if champion is None:
        return None
    found = probations.looks(storage, pipeline.name, champion.since)
    if len(found) >= nights_in_all or on_probation(list(promotions.ledger.follow())) is None:
        return None
    last = found[-1].reason if found else "no labels that neither learnt from have judged it yet"
    return f"v{champion.version}, {len(found)} of {nights_in_all} nights: {last}"


def _running(pipeline: Pipeline, storage: Storage) -> str | None:
    """Who holds the pipeline now, and since when."""
    held, now = leases.latest(pipeline.name, storage), time.time()
    if held is None or not leases.alive(held, now):
        return None
    return f"{held.what}, for {(now - held.started) / 60:.0f} min (pid {held.pid} on {held.host})"


def _unfinished(state: State) -> str | None:
    """The move that MLflow does not show yet."""
    pending = state.pending
    if pending is None:
        return None
    return (
        f"entry {pending.number}, {pending.action} to {named(pending.target)} by {pending.by}: "
        "MLflow does not show it yet; the next night finishes it, or `nocturne reconcile` now"
    )


def _undecided(pipeline: Pipeline, promotions: Promotions, storage: Storage) -> str | None:
    """The version that the last night registered before it died, if it never decided about it."""
    last = leases.latest(pipeline.name, storage)
    if last is None or last.registered is None or last.ended not in leases.UNHEARD:
        return None
    day, alive = date.fromisoformat(last.logical_date), leases.alive(last, time.time())
    if alive or promotions.answer(request_of(day)) is not None:
        return None
    return (
        f"v{last.registered} is registered, not promoted: night {day} died before it decided; "
        "run it again to go on"
    )


def _served(pipeline: Pipeline, settings: Settings) -> str:
    """Whether a Prefect server has the deployment and when its next night is due."""
    url = settings.prefect_url
    if not url:
        return "no Prefect server is set; `nocturne schedule` serves it with one of its own"
    query = {
        "flows": {"name": {"any_": ["retrain"]}},
        "deployments": {"name": {"any_": [pipeline.name]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    try:
        runs = prefect_runs(url, query)
    except OSError as error:
        return f"Prefect at {url} does not answer: {error}"
    if not runs:
        return "not served: no night is due; run `nocturne schedule`"
    return f"next night due {runs[0]['expected_start_time']}"
