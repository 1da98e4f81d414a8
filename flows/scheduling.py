"""Serve the nightly deployment of a pipeline: Prefect starts its nights by the cron in its file."""

from __future__ import annotations

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.retraining import retrain
from tasks.config import Pipeline


def serve(pipeline: Pipeline) -> None:
    """Poll for scheduled nights and run them, until interrupted.

    A second night that is due while one runs is cancelled: the next one sees all rows anyway.
    The entrypoint is the module's path, because a file entrypoint would load modules twice.
    """
    retrain.serve(
        name=pipeline.name,
        description=pipeline.description or None,
        schedules=[Cron(pipeline.schedule.cron, timezone=pipeline.schedule.timezone)],
        parameters={"pipeline": pipeline.model_dump(mode="json")},
        global_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
