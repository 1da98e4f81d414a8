"""Stage: the night as one HTML page."""

from __future__ import annotations

from importlib.metadata import version

from prefect import task

from infra.settings import Settings
from infra.storage import open_storage
from tasks.config import Pipeline
from tasks.references import Evaluation, Night, Prepared, Snapshot, Validated

LIBRARIES = ("keras", "tensorflow", "mlflow", "prefect", "great-expectations", "imbalanced-learn")


@task
def report(
    pipeline: Pipeline,
    night: Night,
    snapshot: Snapshot | None,
    validated: Validated | None,
    prepared: Prepared | None,
    evaluation: Evaluation | None,
) -> str:
    """Write the report beside the night's work and into the store; returns its path."""
    from tasks.evaluation.report import write

    settings = Settings()
    folder = settings.work / pipeline.name / night.logical_date
    path = write(
        folder / "report.html",
        night,
        evaluation,
        pipeline=pipeline,
        snapshot=snapshot,
        validated=validated,
        prepared=prepared,
        versions={name: version(name) for name in LIBRARIES},
    )
    storage = open_storage(settings)
    storage.upload(f"reports/{pipeline.name}/{night.logical_date}.html", path)
    return str(path)
