"""Stages: what the night did, in MLflow: one run a night, a child a candidate, its folds inside."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from prefect import task

from infra.settings import Settings
from model_registry.errors import RegistryError
from model_registry.runs import Runs
from model_registry.spool import SpooledRuns
from tasks.config import Candidate, Pipeline
from tasks.references import Evaluation, Night, Prepared, Snapshot, Trained
from tasks.tuned import Tuned

logger = logging.getLogger(__name__)


@task
def start_run(pipeline: Pipeline, logical_date: date) -> str:
    """Begin the run of a night, with the whole pipeline as parameters; returns its id."""
    tags = {"kind": "night", "pipeline": pipeline.name, "logical_date": logical_date.isoformat()}
    name = f"night {logical_date.isoformat()}"
    settings = flat(pipeline.model_dump(mode="json", exclude={"candidates"}))
    return _runs(pipeline.name).start(name, parameters=settings, tags=tags)


@task
def log_candidates(
    pipeline: Pipeline,
    run_id: str,
    snapshot: Snapshot,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    evaluation: Evaluation,
) -> None:
    """Data, candidates and evaluation of a night, as runs that MLflow's page can compare."""
    runs = _runs(pipeline.name)
    sets = {"training": prepared.train_rows, "validation": prepared.validation_rows}
    for context, rows in {**sets, "test": prepared.test_rows}.items():
        digest = prepared.test_digest if context == "test" else snapshot.digest
        name = f"{pipeline.name}.{context}"
        place = {"source": snapshot.key, "context": context}
        runs.log_dataset(run_id, name, digest=digest, rows=rows, **place)
    chosen = {candidate.name: candidate for candidate in pipeline.candidates}
    for one in trained:
        _log_candidate(runs, run_id, pipeline, chosen[one.name], one, evaluation)
    runs.log_metrics(
        run_id, metrics_of(next(t for t in trained if t.name == evaluation.challenger))
    )
    runs.log_artifacts(run_id, Path(evaluation.directory), "evaluation")


@task
def log_trials(pipeline: Pipeline, run_id: str, tuned: Tuned, day: date) -> None:
    """A search of this night: one child, and inside it a run for each of its trials."""
    if tuned.logical_date != day.isoformat():
        return
    runs = _runs(pipeline.name)
    tags = {"kind": "search", "pipeline": pipeline.name, "logical_date": tuned.logical_date}
    settings = {"tune": pipeline.tune.model_dump(mode="json")}
    parent = runs.start("search", parent=run_id, parameters=flat(settings), tags=tags)
    metric = f"held_out_{tuned.metric}"
    for trial in tuned.trials:
        inner = {**tags, "kind": "trial", "state": trial.state, "why": trial.why or ""}
        name = f"trial {trial.number}"
        one = runs.start(name, parent=parent, parameters=trial.settings, tags=inner)
        value = {} if trial.value is None else {metric: trial.value}
        runs.log_metrics(one, {**value, "training_seconds": trial.seconds})
        runs.finish(one, "FAILED" if trial.state == "failed" else "FINISHED")
    if tuned.value is not None:
        runs.log_metrics(parent, {metric: tuned.value})
    runs.tag(parent, {"reason": tuned.reason})
    runs.finish(parent)


@task
def finish_run(night: Night, status: str | None = None) -> None:
    """End the night's run with its outcome; what MLflow does not take now waits in the spool.

    Args:
        night: Its record.
        status: KILLED where the process was ended; else FINISHED or, by the outcome, FAILED.
    """
    if night.run_id is None:
        return
    runs = _runs(night.pipeline)
    run_id = runs.replay().get(night.run_id, night.run_id)
    tags = {"outcome": night.outcome, "reason": night.reason, "challenger": night.challenger or ""}
    try:
        runs.tag(run_id, tags)
        seconds = {f"seconds.{step}": spent for step, spent in night.seconds.items()}
        runs.log_metrics(run_id, seconds)
        if night.report:
            runs.log_artifacts(run_id, Path(night.report))
        failed = night.outcome == "failed"
        runs.finish(run_id, status or ("FAILED" if failed else "FINISHED"))
    except RegistryError as error:
        logger.warning("the night's run in MLflow stays open: %s", error)


@task
def settle_run(pipeline: Pipeline, run_id: str) -> str:
    """MLflow's id of a run that began while MLflow was away, where it is back by now."""
    return _runs(pipeline.name).replay().get(run_id, run_id)


def _runs(pipeline: str) -> SpooledRuns:
    settings = Settings()
    return SpooledRuns(Runs(settings.mlflow_uri, pipeline), settings.spool_of(pipeline))


def _log_candidate(
    runs: SpooledRuns,
    night_run: str,
    pipeline: Pipeline,
    candidate: Candidate,
    trained: Trained,
    evaluation: Evaluation,
) -> None:
    """One child: settings, epochs, metrics, counts; a grandchild a fold."""
    tags = {
        "kind": "candidate",
        "pipeline": pipeline.name,
        "candidate": candidate.name,
        "architecture": candidate.architecture.name,
        "resampling": candidate.resampling.name,
        "challenger": str(candidate.name == evaluation.challenger).lower(),
    }
    settings = candidate.model_dump(mode="json") | {
        "training": pipeline.training_of(candidate).model_dump(mode="json"),
        "parameters": trained.parameters,
    }
    run_id = runs.start(candidate.name, parent=night_run, parameters=flat(settings), tags=tags)
    if trained.failed is not None:
        runs.tag(run_id, {"failed": trained.failed})
        runs.finish(run_id, "FAILED")
        return
    runs.log_history(run_id, _numbers(Path(trained.directory) / "history.json"))
    runs.log_metrics(run_id, metrics_of(trained))
    for fold, scores in enumerate(trained.folds, 1):
        of_fold = {**tags, "kind": "fold", "fold": str(fold)}
        inner = runs.start(f"{candidate.name} fold {fold}", parent=run_id, tags=of_fold)
        runs.log_metrics(inner, {f"validation_{name}": score for name, score in scores.items()})
        runs.finish(inner)
    runs.finish(run_id)


def metrics_of(trained: Trained) -> dict[str, float]:
    """`validation_` and `test_` metrics of a candidate, its cost and its class counts."""
    counts = trained.class_counts.items()
    return {
        **{f"validation_{name}": score for name, score in trained.validation.items()},
        **{f"test_{name}": score for name, score in trained.test.items()},
        **{f"train_rows_before.{name}": before for name, (before, _) in counts},
        **{f"train_rows_after.{name}": after for name, (_, after) in counts},
        "epochs": trained.epochs,
        "training_seconds": trained.seconds,
    }


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `outer.inner` keys; lists stay whole."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _numbers(path: Path) -> list[dict[str, float]]:
    """The numeric part of each epoch's record."""
    epochs = json.loads(path.read_text("utf-8"))
    return [{k: v for k, v in one.items() if isinstance(v, int | float)} for one in epochs]
