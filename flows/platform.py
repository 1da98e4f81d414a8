"""`nocturne up`: the whole platform on one machine, until it is asked to end; and `down`.

What runs and how is `infra.platform`'s; here is what it needs to know of pipelines.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.options import DEMONSTRATION, asked_by, pipeline_of
from infra.platform import databases, known, supervisor
from infra.platform.access import Access
from infra.platform.databases import Database
from infra.platform.logs import Followed
from infra.platform.page import Page
from infra.platform.parts import refuse_taken
from infra.platform.plan import Plan
from infra.platform.supervisor import Lock, Supervisor
from infra.settings import Settings
from infra.storage import Storage, StorageError, open_storage
from model_registry import decisions
from model_registry.errors import RegistryError
from model_registry.ledger import Ledger
from model_registry.redaction import redacted
from tasks.config import ConfigError, Pipeline
from tasks.pipeline_file import found

logger = logging.getLogger(__name__)

FOLDER = Path("conf")
LOOK_SECONDS = 10.0  # for a first champion
DOWN_SECONDS = 240.0

Tell = Callable[[str, str], None]


@dataclass
class Platform:
    """One `nocturne up`.

    Attributes:
        plan: What runs, and how.
        confs: Pipeline file by name.
        left_out: Why a pipeline file is not run, by its name.
        store: Holds ledgers and reports.
        supervisor: Runs the parts.
        serves: What is said of a pipeline's scoring, by name.
    """

    plan: Plan
    confs: dict[str, Path]
    left_out: dict[str, str]
    store: Storage
    supervisor: Supervisor
    serves: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Plain values for page and scripts."""
        plan = self.plan
        elsewhere = {"mlflow": plan.mlflow_elsewhere, "prefect": plan.prefect_elsewhere}
        return {
            "page": plan.page(plan.settings.up_port),
            "pid": os.getpid(),
            "mlflow": redacted(plan.mlflow_url),
            "prefect": redacted(plan.prefect_url),
            "database": plan.database.said,
            "store": self.store.uri,
            "elsewhere": {name: redacted(url) for name, url in elsewhere.items() if url},
            "parts": self.supervisor.facts(),
            "pipelines": [
                {
                    "name": name,
                    "conf": str(conf),
                    "serves": self.serves.get(name, "no champion yet"),
                }
                for name, conf in self.confs.items()
            ],
            "left_out": self.left_out,
        }

    def begin(self) -> None:
        """Add the servers and the schedules; scoring follows where there is a champion."""
        parts = self.plan.servers()
        parts += [self.plan.schedules(self.confs)] if self.confs else []
        for part in parts:
            refuse_taken(part)
        for part in parts:
            self.supervisor.add(part)

    def look(self) -> None:
        """Serve what has a champion now and is not served yet."""
        settings = self.plan.settings
        for at, (name, conf) in enumerate(self.confs.items()):
            part = self.plan.scoring(name, conf, settings.serve_port + at)
            if self.supervisor.runs(part.name):
                continue
            try:
                if os.geteuid() == 0 and not settings.serve_as_root:
                    self.serves[name] = "not as uid 0; NOCTURNE_SERVE_AS_ROOT says more"
                elif _has_champion(self.store, name):
                    self.serves[name] = part.page
                    self.supervisor.add(part)
            except (StorageError, RegistryError) as error:
                self.serves[name] = f"not known: {error}"


def run(
    confs: Sequence[Path], given: Mapping[str, Any], tell: Tell, up: Callable[[Platform], None]
) -> int:
    """Run the platform until SIGINT or SIGTERM; returns the exit code.

    Args:
        confs: Pipeline files; none: all of `conf/`.
        given: Settings that the command line names; None: the environment's.
        tell: Told every line of every part: who, and what.
        up: Called once when everything answers.

    Raises:
        ConfigError: a pipeline file that was named is broken.
        AlreadyUp: one runs in this home.
        BindRefused, DatabaseRefused, PortTaken: what the message names must be set otherwise.
    """
    folder = Settings().home.resolve() / "up"
    lock = Lock(folder)
    try:
        known.forget(folder.parent)  # what the last one said is not what is set
        named = {key: value for key, value in given.items() if value is not None}
        settings = Settings().model_copy(update=named)
        access = Access.of(settings, uid=os.geteuid())
        for line in supervisor.clear(folder.parent, folder):
            tell("nocturne", line)
        chosen, left_out = _pipelines(confs)
        elsewhere = _elsewhere(settings)
        database = Database("elsewhere", "") if all(elsewhere) else databases.choose(settings)
        plan = Plan(settings, access, database, *elsewhere)
        parts = Supervisor(folder.parent, folder)
        platform = Platform(plan, chosen, left_out, open_storage(settings), parts)
        return _run(platform, tell, up)
    finally:
        known.forget(folder.parent)
        lock.release()


def _elsewhere(settings: Settings) -> tuple[str, str]:
    """Servers that are set: they are used, and none of their kind is run.

    Raises:
        ConfigError: an MLflow that is no server.
    """
    kept = known.servers(settings.home).get("mlflow_url")
    mlflow = "" if settings.mlflow_url == kept else settings.mlflow_url
    if mlflow and not mlflow.startswith(("http://", "https://")):
        scheme = mlflow.partition(":")[0]
        raise ConfigError(
            f"NOCTURNE_MLFLOW_URL: is a {scheme} address; `nocturne up` runs a server or uses one "
            "(http, https): unset it, and name a PostgreSQL by NOCTURNE_DATABASE_URL"
        )
    return mlflow, settings.prefect_url


def _run(platform: Platform, tell: Tell, up: Callable[[Platform], None]) -> int:
    plan, parts = platform.plan, platform.supervisor
    followed = Followed(parts.logs)
    for ask in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ask, lambda *_: parts.ask_to_end())
    page = Page(plan.access, plan.settings.up_port, platform.facts, platform.store)
    told, looked = False, -LOOK_SECONDS

    def meanwhile() -> None:
        nonlocal told, looked
        for name, line in followed.lines():
            tell(name, line)
        if time.monotonic() - looked > LOOK_SECONDS:
            platform.look()
            looked = time.monotonic()
        if not told and parts.are_healthy():
            told = True
            up(platform)

    try:
        platform.begin()
        own = {"mlflow_url": plan.mlflow_url, "prefect_url": plan.prefect_url}
        kept = ("mlflow_url",) if plan.database.is_server and not plan.mlflow_elsewhere else ()
        known.write(plan.home, own, kept=kept)
        parts.run(meanwhile)
    finally:
        page.close()
    return 0


def _pipelines(confs: Sequence[Path]) -> tuple[dict[str, Path], dict[str, str]]:
    """Pipeline files by name, and why others are left out.

    Of a folder, what is broken or not meant for this machine is left out and said; what was named
    must work.
    """
    chosen: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    for path in confs or sorted(FOLDER.glob("*.yaml")):
        try:
            pipeline = pipeline_of(path)
            missing = _missing(pipeline)
            if missing and missing.startswith(DEMONSTRATION) and not confs:
                continue
            if missing:
                raise ConfigError(f"{path}: the variable {missing} of its source is not set")
            if pipeline.name in chosen:
                raise ConfigError(f"{path}: {chosen[pipeline.name]} has the same name")
        except ConfigError as error:
            if confs:
                raise
            left_out[path.stem] = str(error)
            logger.warning("left out: %s", error)
            continue
        chosen[pipeline.name] = found(path).resolve()
    return chosen, left_out


def _missing(pipeline: Pipeline) -> str | None:
    """A variable that the source asks for and nobody has set."""
    return next((name for name in asked_by(pipeline) if name not in os.environ), None)


def _has_champion(store: Storage, name: str) -> bool:
    return decisions.state_of(Ledger(store, name).follow()).champion is not None


def down() -> list[str]:
    """End the platform of this home, or what a killed one left; says what was ended.

    Raises:
        TimeoutError: it was asked, and still runs.
    """
    folder = Settings().home.resolve() / "up"
    pid = supervisor.holder(folder)
    if pid is None:
        lock = Lock(folder)
        try:
            return supervisor.clear(folder.parent, folder)
        finally:
            known.forget(folder.parent)
            lock.release()
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while supervisor.holder(folder) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"the platform (pid {pid}) was asked to end {DOWN_SECONDS:.0f} s ago and still "
                f"runs; look at {folder / 'logs'}"
            )
        time.sleep(0.3)
    return [f"ended, pid {pid}"]
