"""What a decision rests on, gathered for the ledger: digests, seeds, metrics, gates, links."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from importlib import metadata
from pathlib import Path

from model_registry.asking import Facts
from tasks.config import Pipeline
from tasks.references import Evaluation, Measured, Verdict

PACKAGES = ("expectations", "flows", "infra", "model_registry", "serving", "tasks")
ROOT = Path(__file__).parents[1]

Intervals = Mapping[str, tuple[float, float, float]]


def facts_of(
    pipeline: Pipeline,
    day: date,
    evaluation: Evaluation,
    verdict: Verdict,
    *,
    data_digest: str,
    test_sketch: str,
    run_id: str,
) -> Facts:
    """Everything a decision about tonight's challenger rests on.

    Args:
        pipeline: What was computed.
        day: The night's logical date.
        evaluation: Of the night, on the test rows that the gates saw.
        verdict: What the gates said.
        data_digest: Of the night's snapshot.
        test_sketch: Which rows the test set has.
        run_id: MLflow run of the night.
    """
    return Facts(
        logical_date=day.isoformat(),
        digests={
            "data": data_digest,
            "test": evaluation.test_digest,
            "code": code_digest(),
            "configuration": configuration_digest(pipeline),
            "lock": lock_digest(),
        },
        seeds={"pipeline": pipeline.seed},
        metrics=metrics_of(evaluation),
        gates=[gate.model_dump(mode="json") for gate in verdict.gates],
        links={
            "run": run_id,
            "report": f"reports/{pipeline.name}/{day.isoformat()}.html",
            "candidate": evaluation.challenger,
        },
        test_sketch=test_sketch,
    )


def metrics_of(evaluation: Evaluation) -> dict[str, Intervals]:
    """Test metrics and recalls of challenger and champion, and their paired difference."""
    recalls = {f"recall of {one.name}": one.recall for one in evaluation.classes}
    found = {"challenger": _intervals({**evaluation.challenger_scores.test, **recalls})}
    if evaluation.champion is not None:
        recalls = {f"recall of {one.name}": one.recall for one in evaluation.champion_classes}
        found["champion"] = _intervals({**evaluation.champion, **recalls})
        found["difference"] = _intervals(evaluation.difference)
    return found


def configuration_digest(pipeline: Pipeline) -> str:
    """sha256 of the pipeline, with the content of its suite in place of the suite's path."""
    content = pipeline.model_dump(mode="json")
    suite = pipeline.contract.suite
    if suite is not None and Path(suite).is_file():
        content["contract"]["suite"] = hashlib.sha256(Path(suite).read_bytes()).hexdigest()
    return _digest([json.dumps(content, sort_keys=True, separators=(",", ":"))])


@functools.cache
def code_digest() -> str:
    """sha256 over the content of every source file of the packages."""
    files = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    return _digest(
        f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    )


@functools.cache
def lock_digest() -> str:
    """sha256 over the names and versions of all that is installed, which is what really ran."""
    found = {
        f"{distribution.metadata['Name'].lower()}=={distribution.version}"
        for distribution in metadata.distributions()
        if distribution.metadata["Name"]
    }
    return _digest(sorted(found))


def _intervals(metrics: Mapping[str, Measured]) -> Intervals:
    return {name: (one.value, one.low, one.high) for name, one in metrics.items()}


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
