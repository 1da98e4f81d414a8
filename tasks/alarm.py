"""Stages: who is told of a day's live inputs: MLflow, Prefect's page, whoever waits for alarms."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect import task

from infra.settings import Settings
from model_registry.errors import RegistryError
from model_registry.runs import Runs
from model_registry.spool import SpooledRuns
from tasks import watched_days
from tasks.references import Watched

logger = logging.getLogger(__name__)

EVENT = "nocturne.drift"


def resource(pipeline: str) -> str:
    """How Prefect's events call a pipeline; automations match on it."""
    return f"nocturne.pipeline.{pipeline}"


def event_id(pipeline: str, day: date) -> UUID:
    """One alarm a logical date: a repeated event has the same id, and Prefect counts it once."""
    return uuid5(NAMESPACE_URL, f"{resource(pipeline)}/{day.isoformat()}/{EVENT}")


@task
def log_day(watched: Watched) -> Watched:
    """One MLflow run a monitored day; the record with its id. MLflow away is a warning."""
    settings = Settings()
    path = settings.spool_of(watched.pipeline)
    runs = SpooledRuns(Runs(settings.mlflow_uri, watched.pipeline), path)
    tags = {
        "kind": "monitoring",
        "pipeline": watched.pipeline,
        "logical_date": watched.logical_date,
        "version": watched.version or "",
        "alarm": str(watched.alarm).lower(),
        "reason": watched.reason,
    }
    try:
        run_id = runs.start(f"monitoring {watched.logical_date}", tags=tags)
        runs.log_metrics(run_id, metrics_of(watched))
        if watched_days.page(settings, watched).exists():
            runs.log_artifacts(run_id, watched_days.page(settings, watched))
        runs.finish(run_id)
    except RegistryError as error:
        logger.warning("the day is not in MLflow: %s", error)
        return watched
    return watched.model_copy(update={"run_id": run_id})


def metrics_of(watched: Watched) -> dict[str, float]:
    """The numbers of a day, to be followed from day to day."""
    found: dict[str, float] = {
        "rows": watched.rows,
        "conspicuous": float(watched.conspicuous),
        "alarm": float(watched.alarm),
    }
    for one in watched.features:
        found[f"chance.{one.feature}"] = one.among
        found[f"shift.{one.feature}"] = one.statistic / one.usual if one.usual else 0.0
    if watched.estimated_accuracy:
        found["estimated_accuracy"] = watched.estimated_accuracy.value
    if watched.logical_date in watched.true_accuracy:
        found["true_accuracy"] = watched.true_accuracy[watched.logical_date][0]
    return found


@task
def raise_alarm(watched: Watched) -> Watched:
    """Emit the event that starts `retrain` where an automation waits; the record with its id.

    Without a Prefect server nobody would hear it, and that is said.
    """
    from prefect.events import emit_event

    day = date.fromisoformat(watched.logical_date)
    payload: dict[str, Any] = watched.model_dump(
        mode="json", include={"pipeline", "logical_date", "version", "reason", "smallest", "level"}
    )
    sent = emit_event(
        EVENT,
        {"prefect.resource.id": resource(watched.pipeline), "prefect.resource.name": "drift"},
        payload=payload,
        id=event_id(watched.pipeline, day),
    )
    if sent is None:
        logger.warning("no Prefect server is set: the alarm starts no night by itself")
        return watched
    return watched.model_copy(update={"event": str(sent.id)})


@task
def leave_page(watched: Watched) -> None:
    """The day in a screenful of Markdown, as an artifact that Prefect's page shows."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        key=f"drift-{watched.pipeline}".replace("_", "-"),
        markdown=page(watched),
        description=f"{watched.logical_date}: {watched.reason.partition(':')[0]}",
    )


def page(watched: Watched) -> str:
    """The record of a day as Markdown."""
    lines = [f"# {watched.pipeline}, live inputs of {watched.logical_date}", "", watched.reason, ""]
    lines += ["| feature | p, among all | p, alone | times the usual | |", "|---|---|---|---|---|"]
    for one in watched.features:
        times = one.statistic / one.usual if one.usual else 0.0
        said = one.said.replace("|", "/")
        lines.append(
            f"| {one.feature} | {one.among:.4f} | {one.alone:.4f} | {times:.1f} | {said} |"
        )
    if watched.estimated_accuracy:
        sure = watched.estimated_accuracy
        lines += ["", f"Estimated accuracy {sure.value:.3f} [{sure.low:.3f}, {sure.high:.3f}]"]
    return "\n".join(lines)
