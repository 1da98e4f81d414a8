"""Stage: ask every gate of the pipeline, on the same test rows for all models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task

from model_registry import gates
from tasks.config import Pipeline
from tasks.ragged import Examples
from tasks.references import (
    ChampionScores,
    Evaluation,
    GateResult,
    Prepared,
    Trained,
    Verdict,
)

FLOOR = "averaged_embeddings"


@task
def decide(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    evaluation: Evaluation,
    champion: ChampionScores | None,
) -> Verdict:
    """Promote or keep, each gate with its numbers.

    Raises:
        GateError: the models were not scored on the same rows.
    """
    evidence = evidence_of(pipeline, prepared, trained, evaluation, champion)
    decision = gates.decide(evidence, [(gate.name, gate.options) for gate in pipeline.gates])
    results = tuple(
        GateResult(gate=r.gate, passed=r.passed, sentence=r.sentence, numbers=dict(r.numbers))
        for r in decision.results
    )
    return Verdict(promote=decision.promote, reason=decision.reason, gates=results)


def evidence_of(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    evaluation: Evaluation,
    champion: ChampionScores | None,
) -> gates.Evidence:
    """The test rows' labels and what each model said of them, read from their directories."""
    sound = {scored.name for scored in evaluation.candidates}
    said = {t.name: t.directory for t in trained if t.name in sound}
    floor = next(
        (c.name for c in pipeline.candidates if c.architecture.name == FLOOR and c.name in said),
        None,
    )
    return gates.Evidence(
        labels=Examples.load(Path(prepared.directory) / "test").labels,
        classes=prepared.classes,
        challenger=_probabilities(said[evaluation.challenger]),
        champion=_array(Path(champion.probabilities)) if champion else None,
        floor=_probabilities(said[floor]) if floor else None,
        challenger_is_floor=evaluation.challenger == floor,
        metric=pipeline.evaluation.metric,
        confidence=pipeline.evaluation.confidence,
        samples=pipeline.evaluation.bootstrap_samples,
        seed=pipeline.seed,
        champion_version=champion.version if champion else None,
        extra={name: m.value for name, m in evaluation.challenger_scores.test.items()},
    )


def _probabilities(directory: str) -> NDArray[np.float32]:
    return _array(Path(directory) / "test_probabilities.npy")


def _array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array
