"""What happened, in MLflow: one run a night, a child a candidate, a grandchild a fold.

Takes plain values and explicit run ids, so that threads and processes may share it; nothing
here touches MLflow's idea of an active run. Numbers that are none are left out and named in a
tag, because MLflow would sort an infinite metric first.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_registry import artifacts
from model_registry.connection import answering, artifact_root, artifacts_answering, connect
from model_registry.errors import RegistryError
from model_registry.redaction import redacted, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_AT_ONCE, OTHERS_AT_ONCE = 1_000, 100
LONGEST_PARAMETER, LONGEST_TAG, LONGEST_DIGEST = 6_000, 5_000, 36
NOT_FINITE = "not_finite"
KINDS = ("night", "candidate", "fold", "search", "trial", "monitoring")


@dataclass(frozen=True)
class Finished:
    """A run that ended.

    Attributes:
        run_id: MLflow's.
        kind: Entry of `KINDS`; empty for a run of somebody else.
        logical_date: Of its night or day, ISO 8601; empty where it names none.
        ended: Seconds since 1970.
        artifacts: Where its files are.
    """

    run_id: str
    kind: str
    logical_date: str
    ended: float
    artifacts: str


def finished_of(run: Any) -> Finished:
    """From MLflow's run."""
    tags, info = run.data.tags, run.info
    ended = (info.end_time or 0) / 1000
    named = (tags.get("kind", ""), tags.get("logical_date", ""))
    return Finished(str(info.run_id), *named, ended, info.artifact_uri)


class Runs:
    """The runs of one experiment behind one MLflow address; connects when first asked."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Name the place.

        Args:
            uri: MLflow's tracking address.
            experiment: The pipeline's name.
        """
        self.uri = uri
        self.experiment = experiment

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client of this address."""
        return connect(self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment, made where absent; its artifacts lie beside an SQLite store."""
        with answering(self.uri):
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                return self._make_experiment()
            if found.lifecycle_stage != "active":
                raise RegistryError(
                    f"experiment {self.experiment!r} was deleted in MLflow; restore it there, or "
                    "give the pipeline another name"
                )
            return str(found.experiment_id)

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        at: float | None = None,
    ) -> str:
        """Begin a run, inside another where `parent` is one; returns its id.

        Args:
            name: On MLflow's page.
            parent: Id of the run around it.
            parameters: Settings, flattened.
            tags: Of the run.
            at: When it began, seconds since 1970; now where absent.
        """
        every = {**(tags or {}), "mlflow.runName": name}
        if parent:
            every["mlflow.parentRunId"] = parent
        with answering(self.uri):
            run = self.client.create_run(
                self.experiment_id, _milliseconds(at), run_name=name, tags=_tags(every)
            )
        run_id = str(run.info.run_id)
        self.log_parameters(run_id, parameters or {})
        return run_id

    def log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        """Settings as text; nested ones should be flattened by the caller."""
        from mlflow.entities import Param

        rows = [
            Param(_key(name), _short(_text(value), LONGEST_PARAMETER))
            for name, value in without_secrets(parameters).items()
        ]
        with answering(self.uri):
            for some in _some(rows, OTHERS_AT_ONCE):
                self.client.log_batch(run_id, params=some)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers at one step."""
        self._log(run_id, [(step, metrics)])

    def log_history(self, run_id: str, history: Sequence[Mapping[str, float]]) -> None:
        """Numbers of each epoch, the first as step 1."""
        self._log(run_id, enumerate(history, 1))

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write or overwrite tags."""
        from mlflow.entities import RunTag

        rows = [RunTag(name, value) for name, value in _tags(tags).items()]
        with answering(self.uri):
            for some in _some(rows, OTHERS_AT_ONCE):
                self.client.log_batch(run_id, tags=some)

    def log_dataset(
        self, run_id: str, name: str, *, digest: str, source: str, context: str, rows: int
    ) -> None:
        """Say what data a run used.

        Args:
            run_id: The run.
            name: Of the dataset.
            digest: Of its content; MLflow keeps 36 characters, the tag `NAME.digest` all.
            source: Where it lies.
            context: What for: "training", "validation", "test".
            rows: How many.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        where = redacted(source)
        kind = where.split("://")[0] if "://" in where else "local"
        profile = json.dumps({"num_rows": rows})
        at = json.dumps({"uri": where})
        dataset = Dataset(name, digest[:LONGEST_DIGEST], kind, at, profile=profile)
        tags = [InputTag("mlflow.data.context", context)]
        with answering(self.uri):
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])
        self.tag(run_id, {f"{name}.digest": digest})

    def log_artifacts(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Upload a file, or all that a directory holds, under `folder` of the run."""
        with answering(self.uri):
            if path.is_dir():
                self.client.log_artifacts(run_id, str(path), folder)
            else:
                self.client.log_artifact(run_id, str(path), folder)

    def finish(self, run_id: str, status: str = "FINISHED", at: float | None = None) -> None:
        """End a run: FINISHED, FAILED or KILLED; now, or at a time in seconds since 1970."""
        with answering(self.uri):
            self.client.set_terminated(run_id, status, _milliseconds(at))

    def end_running(self, before: float, tags: Mapping[str, str]) -> list[str]:
        """Mark as KILLED what says it is running, begun before a time; returns the ids.

        Args:
            before: Seconds since 1970; runs that begin later are somebody else's.
            tags: Written on each.
        """
        begun = int(before * 1000)
        query = f"attributes.status = 'RUNNING' and attributes.start_time < {begun}"
        with answering(self.uri):
            found = self.client.search_runs([self.experiment_id], query, max_results=1_000)
        ours = [str(run.info.run_id) for run in found if run.data.tags.get("kind") in KINDS]
        for run_id in ours:
            self.tag(run_id, tags)
            self.finish(run_id, "KILLED")
        return ours

    def finished(self, before: float, kinds: Sequence[str]) -> list[Finished]:
        """Runs of some kinds that ended before a time, the oldest first.

        Args:
            before: Seconds since 1970.
            kinds: Entries of `KINDS`; runs without a kind are somebody else's.
        """
        query = f"attributes.end_time < {int(before * 1000)} and attributes.end_time > 0"
        token, found = None, list[Finished]()
        with answering(self.uri):
            experiment = self.client.get_experiment_by_name(self.experiment)
        while experiment is not None:
            with answering(self.uri):
                page = self.client.search_runs(
                    [experiment.experiment_id],
                    query,
                    max_results=1_000,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
            found += [finished_of(run) for run in page if run.data.tags.get("kind") in kinds]
            token = page.token
            if not token:
                break
        return found

    def size(self, run: Finished) -> int:
        """Bytes of the artifacts of a run and of all runs inside it."""
        with artifacts_answering(run.artifacts), answering(self.uri):
            own = artifacts.size(self._repository(run.artifacts))
        return own + sum(self.size(child) for child in self._inside(run.run_id))

    def remove(self, run: Finished) -> None:
        """Delete a run and those inside it, innermost first, each after its artifacts.

        MLflow keeps the rows of deleted runs until its own `mlflow gc`; their files are gone.
        """
        for child in self._inside(run.run_id):
            self.remove(child)
        with artifacts_answering(run.artifacts), answering(self.uri):
            artifacts.remove(self._repository(run.artifacts))
            self.client.delete_run(run.run_id)

    def _inside(self, run_id: str) -> list[Finished]:
        with answering(self.uri):
            return [finished_of(self.client.get_run(child)) for child in self.children(run_id)]

    def _repository(self, place: str) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(place, tracking_uri=self.uri)

    def children(self, run_id: str) -> list[str]:
        """Ids of the runs directly inside a run."""
        query = f"tags.`mlflow.parentRunId` = '{run_id}'"
        with answering(self.uri):
            found = self.client.search_runs([self.experiment_id], query, max_results=1_000)
        return [str(run.info.run_id) for run in found]

    def _log(self, run_id: str, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Metrics at several steps, in few calls."""
        from mlflow.entities import Metric

        now, found, bad = int(time.time() * 1000), [], set()
        for step, metrics in rows:
            for name, number in metrics.items():
                if math.isfinite(number):
                    found.append(Metric(_key(name), float(number), now, step))
                else:
                    bad.add(name)
        with answering(self.uri):
            for some in _some(found, METRICS_AT_ONCE):
                self.client.log_batch(run_id, metrics=some)
        if bad:
            self.tag(run_id, {NOT_FINITE: ", ".join(sorted(bad))})

    def _make_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        root = artifact_root(self.uri)
        place = f"{root}/{self.experiment}" if root else None
        try:
            return str(self.client.create_experiment(self.experiment, artifact_location=place))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(self.client.get_experiment_by_name(self.experiment).experiment_id)


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {_key(name): _short(redacted(str(value)), LONGEST_TAG) for name, value in tags.items()}


def _milliseconds(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)


def _key(name: str) -> str:
    """A name MLflow accepts: letters, digits and `_-./ :`; anything else becomes `_`."""
    return re.sub(r"[^\w\-./ :]", "_", name)[:250]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _some(rows: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
