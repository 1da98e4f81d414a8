"""The deployments of pipelines, and serving them: the night, and where set batch and monitoring.

Prefect starts them by the crons in the pipeline's file. An alarm of monitoring starts a night.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import Flow
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.monitoring import monitor
from flows.retraining import retrain
from flows.scoring import score
from infra.settings import Settings
from tasks.alarm import EVENT, resource
from tasks.config import Pipeline

logger = logging.getLogger(__name__)

Question = Callable[..., Coroutine[Any, Any, None]]


class Served(Runner):
    """Prefect's runner, but for three things.

    Its answer to SIGTERM is a coroutine that nobody awaits. The folder of all its runners lies
    in the machine's temporary one and is closed to any user but the first. And after three
    questions that the server did not answer it ends, and ends the nights that it runs.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._ours: asyncio.Task[Any] | None = None
        self._tmp_dir = Path(tempfile.mkdtemp(prefix="nocturne-runner-"))

    async def __aenter__(self) -> Served:
        """Ready to start, with questions that are asked again for as long as it takes."""
        self._ours = asyncio.current_task()
        await super().__aenter__()
        poller = self._scheduled_run_poller
        poller._get_and_submit_flow_runs = _patient(poller._get_and_submit_flow_runs)  # type: ignore[method-assign]
        return self

    def handle_sigterm(self, *_: Any, **__: Any) -> None:
        """Leave the loop, which ends runs and pauses schedules, before anything in it ends.

        A second one changes nothing: it would leave runs that the first is about to end.
        """
        ours, self._ours = self._ours, None
        if ours and not ours.done():
            ours.get_loop().call_soon_threadsafe(ours.cancel)


def _patient(ask: Question) -> Question:
    """A question to Prefect that a server which is away leaves open; said once an absence."""
    silent = False

    async def asked() -> None:
        nonlocal silent
        try:
            await ask()
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            if isinstance(error, PrefectHTTPStatusError) and not error.response.is_server_error:
                raise
            if not silent:
                logger.warning("Prefect does not answer (%s): it is asked again", _said(error))
            silent = True
            return
        if silent:
            logger.warning("Prefect answers again")
        silent = False

    return asked


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def serve(*pipelines: Pipeline) -> None:
    """Poll for scheduled runs and run them, until interrupted.

    At most `NOCTURNE_NIGHTS` go on at once, of all pipelines together; those that are due wait,
    and `max_late_hours` says how long a night may. What a work pool runs is left to its workers:
    this process would take runs from them, and pause their schedules when it ends.
    """
    runner = Served(limit=Settings().nights)
    for made in (made for pipeline in pipelines for made in deployments(pipeline)):
        pool = _pool_of(made)
        if pool:
            logger.warning("%s: left to the workers of pool %s", made.full_name, pool)
        else:
            runner.add_deployment(made)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(runner.start())


def deployments(pipeline: Pipeline) -> list[RunnerDeployment]:
    """The night, then the batch and monitoring where the pipeline gives them a cron."""
    night = pipeline.schedule
    found = [_deployed(retrain, pipeline, night.cron, night.timezone, triggers=[alarm(pipeline)])]
    for flow, part in ((score, pipeline.scoring), (monitor, pipeline.monitoring)):
        if part.cron:
            found.append(_deployed(flow, pipeline, part.cron, part.timezone))
    return found


def _pool_of(made: RunnerDeployment) -> str | None:
    """The work pool that `nocturne deploy` gave a deployment to."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(made.full_name).work_pool_name
        except ObjectNotFound:
            return None


def alarm(pipeline: Pipeline) -> DeploymentEventTrigger:
    """Starts a night when monitoring raises an alarm; its id makes each alarm count once."""
    return DeploymentEventTrigger(
        name=f"{pipeline.name}: drift starts a night",
        description="Live inputs no longer look like what the model was tested on.",
        expect={EVENT},
        match={"prefect.resource.id": resource(pipeline.name)},
    )


def _deployed(
    flow: Flow[..., Any], pipeline: Pipeline, cron: str, timezone: str, **more: Any
) -> RunnerDeployment:
    """A deployment named after the pipeline.

    It has no concurrency limit: a run that holds a slot of Prefect's is ended by it when the
    server forgets the slot, as one does that is started again. That one runs at a time is the
    business of the pipeline's lease (`flows.overlap`).
    The entrypoint is the module's path, because a file entrypoint would load modules twice.
    """
    made = flow.to_deployment(
        name=pipeline.name,
        description=pipeline.description or None,
        schedules=[Cron(cron, timezone=timezone)],
        parameters={"pipeline": pipeline.model_dump(mode="json")},
        entrypoint_type=EntrypointType.MODULE_PATH,
        **more,
    )
    assert isinstance(made, RunnerDeployment)  # noqa: S101 (it is no coroutine outside a loop)
    return made
