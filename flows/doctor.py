"""What keeps nights from running, each finding with the command that mends it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from infra.orchestration import prefect_runs
from infra.settings import Settings
from infra.storage import Storage, StorageError, open_storage
from model_registry.words import counted
from tasks.config import Pipeline

TIMEOUT_SECONDS = 10
LEAST_FREE_BYTES = 2 * 1024**3
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
# Prefect 3.8 starts no server, deploys nothing, or never fires a schedule with these
KNOWN_BAD = {"fastapi": (0, 151), "sqlalchemy": (2, 1)}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: What.
        state: "fine", "worth knowing" or "broken".
        said: What was found.
        mend: The command or step that mends it; empty where nothing is to be done.
    """

    about: str
    state: Literal["fine", "worth knowing", "broken"]
    said: str
    mend: str = ""


def examine(pipeline: Pipeline) -> list[Finding]:
    """Look at everything a night of a pipeline needs; nothing waits longer than 15 s."""
    settings = Settings()
    found = [*_versions(), *_disk(settings), *_ray(settings)]
    try:
        storage = open_storage(settings)
        found += [*_store(storage), *_nights(pipeline, settings, storage)]
    except StorageError as error:
        found.append(Finding("store", "broken", str(error), "set NOCTURNE_STORE"))
    found.append(_mlflow(settings))
    if not broken(found):  # the ledger is compared with what answers
        found += [_decisions(pipeline, settings), _retention(pipeline)]
    return [*found, *_prefect(pipeline, settings)]


def broken(findings: list[Finding]) -> bool:
    """Whether a night would suffer."""
    return any(finding.state == "broken" for finding in findings)


def told(findings: list[Finding]) -> dict[str, Any]:
    """The findings as plain values."""
    return {"broken": broken(findings), "findings": [asdict(each) for each in findings]}


def _versions() -> Iterator[Finding]:
    """Installed versions against the pins, and against those known not to work together."""
    mend = "pip install --no-deps --require-hashes --requirement supply_chain/install.lock"
    for name, first_bad in KNOWN_BAD.items():
        if _numbers(version(name)) >= first_bad:
            limit = ".".join(map(str, first_bad))
            said = f"{version(name)} is installed; Prefect needs {name} before {limit}"
            yield Finding(name, "broken", said, mend)
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text("utf-8").split())
    apart = [f"{name} {_installed(name)} (pinned {pin})" for name, pin in pins.items()
             if _installed(name) not in (None, pin)]  # fmt: skip
    if apart:
        said = f"{len(apart)} differ from the pins: {', '.join(apart[:5])}"
        yield Finding("versions", "worth knowing", said, mend)
    else:
        yield Finding("versions", "fine", f"as pinned; Prefect {version('prefect')}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _disk(settings: Settings) -> Iterator[Finding]:
    home = settings.home.resolve()
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / 1024**3:.1f} GB free at {there}"
    if free < LEAST_FREE_BYTES:
        mend = f"free some space, or set NOCTURNE_HOME; {settings.work} may be removed"
        yield Finding("disk", "broken", f"{said}; a night may need 2 GB", mend)
    else:
        yield Finding("disk", "fine", said)


def _ray(settings: Settings) -> Iterator[Finding]:
    if not settings.ray:
        return
    from infra.cluster import NoCluster, cores
    from tasks.candidates.cluster import reached

    try:
        reached()
    except NoCluster as error:
        yield Finding("Ray", "broken", str(error), "correct it, or unset it to train here")
        return
    said = f"{counted(len(cores()), 'node')} with {counted(sum(cores()), 'core')}, and all fit"
    yield Finding("Ray", "fine", f"{settings.ray}: {said}")


def _store(storage: Storage) -> Iterator[Finding]:
    try:
        honours = storage.honours_conditional_writes()
    except StorageError as error:
        yield Finding("store", "broken", str(error), "set NOCTURNE_STORE to a store that answers")
        return
    if honours:
        yield Finding("store", "fine", f"{storage.uri} answers and lets one writer win")
    else:
        said = f"{storage.uri} does not honour `if_absent`: two nights may run at once"
        yield Finding("store", "broken", said, "set NOCTURNE_STORE to a store that honours it")


def _nights(pipeline: Pipeline, settings: Settings, storage: Storage) -> Iterator[Finding]:
    """A dead night, a failed one, an old champion."""
    from flows.reaping import reap
    from tasks import leases, nights

    name, again = pipeline.name, "nocturne retrain CONF --date"
    for held in leases.dead(name, storage, time.time()):
        said = f"{held.what} died (pid {held.pid} on {held.host})"
        if held.doing == "night":
            yield Finding("lease", "broken", said, f"{again} {held.logical_date}")
        else:
            yield Finding("lease", "worth knowing", said, "nocturne gc CONF")
    reap(name, settings, storage)
    last = next(nights.newest_first(name, storage), None)
    if last is None:
        yield Finding("nights", "fine", "none yet")
        return
    said = f"{last.logical_date} {last.outcome}: {last.reason}"
    bad = last.outcome == "failed"
    mend = f"{again} {last.logical_date}" if bad else ""
    yield Finding("nights", "broken" if bad else "fine", said, mend)
    champion = next((n.champion_after for n in nights.newest_first(name, storage, 30)
                     if n.champion_after), None)  # fmt: skip
    old = nights.too_old(pipeline.schedule, name, champion, datetime.now(UTC), storage)
    if old:
        mend = "nocturne history CONF says why; policy.fresher: promote lets in what is not worse"
        yield Finding("champion", "worth knowing", old, mend)


def _decisions(pipeline: Pipeline, settings: Settings) -> Finding:
    """The ledger's chain, the bundles it names, and MLflow's page."""
    from model_registry.errors import RegistryError
    from tasks.promotions import open_promotions

    try:
        flaws = open_promotions(pipeline, settings).audit()
    except RegistryError as error:
        flaws = (str(error),)
    if not flaws:
        return Finding("ledger", "fine", "whole; its bundles are there and MLflow agrees")
    mend = "nocturne verify CONF tells all; nocturne reconcile CONF mends MLflow's page"
    return Finding("ledger", "broken", "; ".join(flaws[:3]), mend)


def _retention(pipeline: Pipeline) -> Finding:
    """What is kept beyond the policy, in bytes."""
    from flows.cleaning import clean
    from flows.console import size

    try:
        found = clean(pipeline, dry_run=True)
    except Exception as error:  # whatever is broken is told by the finding about it
        said = f"cannot be looked at: {error}"
        return Finding("retention", "worth knowing", said, "nocturne gc CONF --dry-run tells all")
    if not found["deleted"]:
        return Finding("retention", "fine", f"nothing is kept beyond it, {found['kept']} things")
    said = f"{size(found['bytes'])} in {found['deleted']} things that it does not keep"
    return Finding("retention", "worth knowing", said, "nocturne gc CONF --dry-run, then gc CONF")


def _mlflow(settings: Settings) -> Finding:
    from model_registry.errors import RegistryError
    from model_registry.redaction import redacted
    from model_registry.runs import Runs

    address = redacted(settings.mlflow_uri)
    try:
        Runs(settings.mlflow_uri, "doctor").client.search_experiments(max_results=1)
    except RegistryError as error:
        return Finding("MLflow", "broken", str(error), "start it, or correct NOCTURNE_MLFLOW_URL")
    except Exception as error:  # MLflow's own, in its own words
        said = redacted(str(error)).splitlines()[0][:200]
        mend = "start it, or correct NOCTURNE_MLFLOW_URL"
        return Finding("MLflow", "broken", f"{address}: {said}", mend)
    return Finding("MLflow", "fine", f"{address} answers")


def _prefect(pipeline: Pipeline, settings: Settings) -> Iterator[Finding]:
    """Whether somebody serves the schedule, and why nights that are due do not begin."""
    serve = "nocturne schedule CONF"
    url = settings.prefect_url
    if not url:
        said = "embedded; the schedule is served only while `nocturne schedule` runs"
        yield Finding("Prefect", "worth knowing", said, serve)
        return
    try:
        runs = _asked(url, pipeline.name)
    except OSError as error:
        yield Finding("Prefect", "broken", f"{url} does not answer: {error}",
                      "start it, or correct NOCTURNE_PREFECT_URL")  # fmt: skip
        return
    yield Finding("Prefect", "fine", f"{url} answers")
    if not runs:
        yield Finding("schedule", "broken", "no night is due: the deployment is not served", serve)
        return
    now = datetime.now(UTC)
    due = [datetime.fromisoformat(run["expected_start_time"]) for run in runs]
    late = [moment for moment in due if (now - moment).total_seconds() > 60]
    if late:
        said = f"{counted(len(late), 'night')} late, the first due {late[0]:%Y-%m-%d %H:%M} UTC: "
        yield Finding("schedule", "broken", said + _why(runs[0]), serve)
    else:
        yield Finding("schedule", "fine", f"next night due {due[0]:%Y-%m-%d %H:%M} UTC")


def _why(run: dict[str, Any]) -> str:
    """Why Prefect has not begun a run."""
    if run["state_name"] == "AwaitingConcurrencySlot":
        return "a concurrency limit that was set in Prefect has no slot free"
    return "no process serves or works the deployment"


def _asked(url: str, name: str) -> list[dict[str, Any]]:
    """Scheduled runs of the deployment, the earliest first."""
    query = {
        "deployments": {"name": {"any_": [name]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 50,
    }
    return prefect_runs(url, query)
