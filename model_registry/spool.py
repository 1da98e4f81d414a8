"""Tracking that outlives its server: calls that MLflow does not take wait in a file.

The first call without an answer turns all later ones into lines of a spool, in order, until
`replay` has brought every line to MLflow. A run that begins meanwhile has an id of its own,
and gets MLflow's when it is replayed. Each line that was taken is noted at the end of the same
file, so that a replay that dies goes on where it was.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.redaction import without_secrets
from model_registry.runs import Runs

logger = logging.getLogger(__name__)

LOCAL = "local-"
SPOOLED = "spooled_as"


class SpooledRuns:
    """What `Runs` writes, now or later.

    Args:
        runs: Where to.
        path: Of the spool, on a disk that outlives the process.
    """

    def __init__(self, runs: Runs, path: Path) -> None:
        self.runs = runs
        self.path = path

    @property
    def waiting(self) -> bool:
        """Whether calls lie in the spool, so that later ones must queue behind them."""
        return self.path.exists()

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Begin a run; returns MLflow's id, or one of our own until it is replayed."""
        given = {"name": name, "parent": parent, "parameters": parameters, "tags": tags}
        began = self._do("start", **given)
        return str(began)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Numbers at one step."""
        self._do("log_metrics", run_id=run_id, metrics=metrics)

    def log_history(self, run_id: str, history: Sequence[Mapping[str, float]]) -> None:
        """Numbers of each epoch."""
        self._do("log_history", run_id=run_id, history=history)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write or overwrite tags."""
        self._do("tag", run_id=run_id, tags=tags)

    def log_dataset(self, run_id: str, name: str, **facts: Any) -> None:
        """Say what data a run used."""
        self._do("log_dataset", run_id=run_id, name=name, **facts)

    def log_artifacts(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Upload a file or folder; later, where it is still there then."""
        self._do("log_artifacts", run_id=run_id, path=str(path), folder=folder)

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run."""
        self._do("finish", run_id=run_id, status=status)

    def replay(self) -> dict[str, str]:
        """Bring to MLflow what waits, in order; what it refuses is said and dropped.

        Returns:
            Own id to MLflow's, of every run that the spool began.
        """
        if not self.waiting:
            return {}
        calls, ids, taken = self._read()
        for number, call in enumerate(calls[taken:], taken):
            try:
                found = self._take(call, ids)
            except RegistryUnreachable as error:
                logger.warning("%d calls wait for MLflow: %s", len(calls) - number, error)
                return ids
            if call["do"] == "start":
                ids[call["id"]] = str(found)
            self._append({"taken": number + 1, "ids": ids})
        self.path.unlink()
        logger.info("%d calls that had waited are in MLflow now", len(calls) - taken)
        return ids

    def _do(self, what: str, **given: Any) -> Any:
        if not self.waiting:
            try:
                return _call(self.runs, what, given)
            except RegistryUnreachable as error:
                logger.warning("tracking down, spooling to %s: %s", self.path, error)
        local = f"{LOCAL}{uuid.uuid4().hex}"
        call = {"do": what, "id": local, "given": without_secrets(given), "at": time.time()}
        self._append(call)
        return local

    def _take(self, call: dict[str, Any], ids: Mapping[str, str]) -> Any:
        given, what = dict(call["given"]), call["do"]
        for key in ("run_id", "parent"):
            given[key] = ids.get(given.get(key, ""), given.get(key))
        given.pop("parent" if what != "start" else "run_id")
        if what == "start":
            given["tags"] = {**(given["tags"] or {}), SPOOLED: call["id"]}
        if what in ("start", "finish"):
            given["at"] = call["at"]
        if str(given.get("run_id", "")).startswith(LOCAL):
            return None  # its run was refused
        try:
            return _call(self.runs, what, given)
        except RegistryUnreachable:
            raise
        except (RegistryError, OSError) as error:
            logger.warning("not logged, %s: %s", what, error)
            return call["id"]

    def _append(self, line: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=_plain) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> tuple[list[dict[str, Any]], dict[str, str], int]:
        """Calls in order, ids so far, and how many were taken; a line that was cut is none."""
        calls, ids, taken = [], {}, 0
        for text in self.path.read_text("utf-8").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if "taken" in line:
                taken, ids = line["taken"], line["ids"]
            else:
                calls.append(line)
        return calls, ids, taken


def _call(runs: Runs, what: str, given: Mapping[str, Any]) -> Any:
    if what == "log_artifacts":
        given = {**given, "path": Path(given["path"])}
    if what == "start":
        given = {**given, "parameters": given["parameters"] or {}}
    return getattr(runs, what)(**given)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
