"""Deploy pipelines to a Prefect work pool, whose workers run what is due.

The deployments are those that `nocturne schedule` serves (`flows.scheduling`). What is there
already as it should be is left alone, so that a second call changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from flows.scheduling import deployments
from infra.settings import Settings
from model_registry.redaction import redacted
from tasks.config import ConfigError, Pipeline

KINDS = ("process", "docker", "kubernetes")
OURS = {  # flows, by entrypoint
    "flows.retraining.retrain": "retrain",
    "flows.scoring.score": "score",
    "flows.monitoring.monitor": "monitor",
}
TEMPLATES = Path(__file__).parents[1] / "infra" / "pools"
AT_ONCE = 200  # deployments that Prefect gives in one answer
LONGEST = 400  # characters of what a server says


@dataclass(frozen=True)
class Asked:
    """A work pool as it is asked for; None leaves what is there.

    Attributes:
        pool: Its name.
        kind: One of `KINDS`; it is made where it is not there.
        image: Of the runs, for docker and kubernetes.
        concurrency: Runs that go on at once in the pool.
        template: File of a base job template, instead of ours or of what the pool has.
    """

    pool: str
    kind: str | None = None
    image: str | None = None
    concurrency: int | None = None
    template: Path | None = None


def deploy(
    pipelines: Sequence[Pipeline], asked: Asked, *, whole: bool, prune: bool
) -> dict[str, Any]:
    """Make the pool and the deployments what they should be; says what was changed.

    Args:
        pipelines: What the pool shall run.
        asked: The pool.
        whole: They are all it shall run: deployments of other pipelines have vanished.
        prune: Delete the deployments that have vanished.

    Raises:
        ConfigError: no Prefect server is set, or the pool does not fit; nothing was changed.
        RuntimeError: the server does not answer, or refuses.
    """
    url = Settings().prefect_url
    if not url:
        raise ConfigError(
            "no Prefect server is set, and a work pool needs one that stays: name it by "
            "NOCTURNE_PREFECT_URL; `nocturne schedule` needs none"
        )
    with _reaching(url), get_client(sync_client=True) as client:
        pool, done = _pool(client, asked)
        variables = _variables(pool, asked.image)
        wanted = [made for pipeline in pipelines for made in deployments(pipeline)]
        rows = [_deployed(client, made, pool.name, variables) for made in wanted]
        for gone, name in _vanished(client, pool.name, wanted, whole=whole):
            if prune:
                client.delete_resource_owned_automations(f"prefect.deployment.{gone}")
                client.delete_deployment(gone)
            rows.append({"deployment": name, "change": "deleted" if prune else "vanished"})
    return {
        "pool": pool.name,
        "type": pool.type,
        "pool_change": done,
        "concurrency": pool.concurrency_limit,
        "deployments": rows,
        "worker": f"prefect worker start --pool {pool.name} --type {pool.type}",
    }


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """What the server does not say, or refuses, as one sentence."""
    try:
        yield
    except httpx.TransportError as error:
        raise RuntimeError(
            f"Prefect at {redacted(url)} does not answer: {error}; start it, or correct "
            "NOCTURNE_PREFECT_URL"
        ) from None
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        mend = "; PREFECT_API_AUTH_STRING=USER:PASSWORD lets in" if code in {401, 403} else ""
        said = error.response.text[:LONGEST]
        raise RuntimeError(f"Prefect at {redacted(url)} answered {code}: {said}{mend}") from None
    except DeploymentApplyError as error:  # quotes the whole request
        raise RuntimeError(f"Prefect at {redacted(url)}: {str(error)[:LONGEST]}") from None


def _pool(client: SyncPrefectClient, asked: Asked) -> tuple[WorkPool, str]:
    """The pool, and what was done to it."""
    template = _read(asked.template) if asked.template else None
    try:
        pool = client.read_work_pool(asked.pool)
    except ObjectNotFound:
        return _made(client, asked, template), "created"
    _refuse_misfit(asked, pool.type)
    changes: dict[str, Any] = {}
    if asked.concurrency not in {None, pool.concurrency_limit}:
        changes["concurrency_limit"] = asked.concurrency
    if template not in (None, pool.base_job_template):
        changes["base_job_template"] = template
    if not changes:
        return pool, "unchanged"
    client.update_work_pool(pool.name, WorkPoolUpdate(**changes))
    return client.read_work_pool(pool.name), f"updated: {', '.join(changes)}"


def _made(client: SyncPrefectClient, asked: Asked, template: dict[str, Any] | None) -> WorkPool:
    """A new pool; a process pool has no more runs at once than `NOCTURNE_NIGHTS`."""
    if asked.kind is None:
        there = ", ".join(sorted(pool.name for pool in client.read_work_pools())) or "none"
        raise ConfigError(
            f"work pool {asked.pool!r}: is not there; --type {'|'.join(KINDS)} makes it; "
            f"there are: {there}"
        )
    _refuse_misfit(asked, asked.kind)
    limit = Settings().nights if asked.kind == "process" else None
    return client.create_work_pool(
        WorkPoolCreate(
            name=asked.pool,
            type=asked.kind,
            description="Nights, batches and monitoring of Nocturne.",
            base_job_template=template or _read(TEMPLATES / f"{asked.kind}.json"),
            concurrency_limit=asked.concurrency or limit,
        )
    )


def _refuse_misfit(asked: Asked, kind: str) -> None:
    """Say what does not go with a pool of this type, before anything is changed."""
    pool = f"work pool {asked.pool!r}"
    if kind not in KINDS:
        raise ConfigError(f"{pool}: is of type {kind}; pipelines run on {', '.join(KINDS)}")
    if asked.kind not in {None, kind}:
        raise ConfigError(
            f"{pool}: is of type {kind}, not {asked.kind}: name another pool, or leave out --type"
        )
    if kind == "process" and asked.image:
        raise ConfigError(f"{pool}: is of type process, whose runs have no image: no --image")
    if kind != "process" and not asked.image:
        raise ConfigError(f"{pool}: is of type {kind}: name the runs' image by --image NAME:TAG")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != {"job_configuration", "variables"}:
        raise ConfigError(
            f"{path}: is no base job template, whose keys are `job_configuration` and "
            f"`variables`; ours are in {TEMPLATES}"
        )
    return found


def _variables(pool: WorkPool, image: str | None) -> dict[str, str]:
    """What runs in containers know of this environment; processes inherit their worker's."""
    if pool.type == "process":
        return {}
    settings = Settings()
    found = {
        "image": image,
        "store": settings.store,
        "mlflow_url": settings.mlflow_url,
        "s3_endpoint": settings.s3_endpoint,
        "region": os.environ.get("AWS_DEFAULT_REGION"),
    }
    return {name: value for name, value in found.items() if value}


def _deployed(
    client: SyncPrefectClient, made: RunnerDeployment, pool: str, variables: dict[str, str]
) -> dict[str, Any]:
    """Create or update one deployment unless it is there as it should be."""
    made.work_pool_name, made.job_variables, made.paused = pool, variables, False
    wanted = _wanted(made)
    try:
        known = _known(client, client.read_deployment_by_name(made.full_name))
    except ObjectNotFound:
        change, differing = "created", []
    else:
        differing = [what for what in wanted if wanted[what] != known[what]]
        change = "updated" if differing else "unchanged"
    if change != "unchanged":
        made.apply()
    ((when, _),) = wanted["schedules"]
    return {
        "deployment": made.full_name,
        "change": change,
        "differing": differing,
        "cron": when["cron"],
        "timezone": when["timezone"],
    }


def _wanted(made: RunnerDeployment) -> dict[str, Any]:
    """A deployment that was made here, as what is compared."""
    said = made.model_dump(mode="json")
    triggers = [one.model_dump(mode="json") for one in made.triggers]
    return _compared(said, said["concurrency_limit"], triggers)


def _known(client: SyncPrefectClient, there: DeploymentResponse) -> dict[str, Any]:
    """A deployment of the server, as the same."""
    limit = there.global_concurrency_limit
    owned = client.read_resource_related_automations(f"prefect.deployment.{there.id}")
    triggers = [
        one.trigger.model_dump(mode="json") | {"name": one.name, "enabled": one.enabled}
        for one in owned
    ]
    return _compared(there.model_dump(mode="json"), limit.limit if limit else None, triggers)


def _compared(
    said: dict[str, Any], limit: int | None, triggers: list[dict[str, Any]]
) -> dict[str, Any]:
    alike = ("work_pool_name", "job_variables", "paused", "entrypoint", "description", "parameters")
    return {key: said[key] for key in alike} | {
        "schedules": [(one["schedule"], one["active"]) for one in said["schedules"]],
        "concurrency": (limit, (said["concurrency_options"] or {}).get("collision_strategy")),
        "triggers": [
            (one["name"], one["enabled"], one.get("expect"), one.get("match")) for one in triggers
        ],
    }


def _vanished(
    client: SyncPrefectClient, pool: str, wanted: Sequence[RunnerDeployment], *, whole: bool
) -> list[tuple[UUID, str]]:
    """Deployments of our flows in the pool that are not wanted any more: id and full name.

    Where the pipelines are not all of the pool's, only theirs: a batch that has no cron now.
    """
    stay = {made.full_name for made in wanted}
    pipelines = {made.name for made in wanted}
    found = []
    for one in _in_pool(client, pool):
        name = f"{OURS.get(one.entrypoint or '')}/{one.name}"
        if one.entrypoint in OURS and name not in stay and (whole or one.name in pipelines):
            found.append((one.id, name))
    return found


def _in_pool(client: SyncPrefectClient, pool: str) -> list[DeploymentResponse]:
    asked = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    found: list[DeploymentResponse] = []
    while True:
        page = client.read_deployments(work_pool_filter=asked, limit=AT_ONCE, offset=len(found))
        found += page
        if len(page) < AT_ONCE:
            return found
