"""Nights that died without a word: found by their leases, and marked wherever they seem to run."""

# no `from __future__ import annotations`: imported by a flow module
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.orchestration import prefect_runs
from infra.settings import Settings
from infra.storage import Storage
from model_registry.errors import RegistryError
from model_registry.runs import Runs
from model_registry.spool import SpooledRuns
from tasks import leases
from tasks.leases import Held

logger = logging.getLogger(__name__)

UNLEASED_SECONDS = 180.0  # a flow run without a lease may be about to take one


def reap(
    pipeline: str, settings: Settings, storage: Storage, *, own: Held | None = None
) -> list[str]:
    """Mark what dead nights left running in MLflow and Prefect, and bury their leases.

    Args:
        pipeline: Its name.
        settings: Where MLflow and Prefect are.
        storage: Holds the leases.
        own: The lease of the night that asks; without one, a living night is left alone.

    Returns:
        One sentence a dead night.
    """
    now = time.time()
    last = leases.latest(pipeline, storage)
    dead = leases.dead(pipeline, storage, now)
    living = last is not None and leases.alive(last, now)
    if own is None and (living or not dead):
        if not living:
            _crash_strays(pipeline, settings)
        return []
    said = [_sentence(held, now) for held in dead]
    for sentence in said:
        logger.warning("%s", sentence)
    try:
        found = f"found dead at {datetime.now(UTC).isoformat(timespec='seconds')}"
        runs = SpooledRuns(Runs(settings.mlflow_uri, pipeline), settings.spool_of(pipeline))
        runs.replay()
        killed = runs.runs.end_running(now, {"ended_by": found})
        if killed:
            logger.warning("marked KILLED in MLflow: %s", ", ".join(killed))
    except RegistryError as error:
        logger.warning("runs of dead nights stay open in MLflow until it answers: %s", error)
        return said
    if own is not None or settings.prefect_url:
        _crash_flow_runs(pipeline, dead, own)
    for held in dead:
        leases.bury(held, storage)
    return said


def _sentence(held: Held, now: float) -> str:
    return (
        f"{held.what} of {held.pipeline!r} died (pid {held.pid} on {held.host}, "
        f"last sign of life {now - held.beat:.0f} s ago); run it again to go on where it was"
    )


def _crash_strays(pipeline: str, settings: Settings) -> None:
    """Mark runs whose night ended in order while Prefect could not be told.

    Prefect's client takes seconds to import, so that the server is asked without it first.
    """
    if not settings.prefect_url:
        return
    began = datetime.now(UTC) - timedelta(seconds=UNLEASED_SECONDS)
    query = {
        "flows": {"name": {"any_": ["retrain"]}},
        "flow_runs": {
            "name": {"any_": [pipeline]},
            "state": {"type": {"any_": ["RUNNING"]}},
            "start_time": {"before_": began.isoformat()},
        },
        "limit": 1,
    }
    try:
        found = prefect_runs(settings.prefect_url, query)
    except (OSError, ValueError):
        return  # who asks is told by others that Prefect is away
    if found:
        _crash_flow_runs(pipeline, [], None)


def _crash_flow_runs(pipeline: str, dead: list[Held], own: Held | None) -> None:
    """Prefect does not notice a SIGKILL by itself; a Prefect that is away is no reason to stop."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterName,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Crashed

    leased = {held.flow_run_id for held in dead}
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])),
                flow_run_filter=FlowRunFilter(
                    name=FlowRunFilterName(any_=[pipeline]), state=running
                ),
            )
            for run in runs:
                if str(run.id) in leased or _overdue(run, own):
                    state: State[Any] = Crashed(message="The process died; found by its lease.")
                    client.set_flow_run_state(run.id, state, force=True)
                    logger.warning("marked CRASHED in Prefect: %s", run.id)
    except Exception as error:
        logger.warning("Prefect's runs of dead nights stay open: %s", type(error).__name__)


def _overdue(run: Any, own: Held | None) -> bool:
    """Whether a run has no lease though it had time to take one: it died before."""
    if own is not None and str(run.id) == own.flow_run_id:
        return False
    began = run.start_time
    return began is not None and datetime.now(UTC) - began > timedelta(seconds=UNLEASED_SECONDS)
