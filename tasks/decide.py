"""Stage: ask every gate of the pipeline, on the same test rows for all models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prefect import task

from model_registry import gates
from model_registry.spending import Wear
from tasks.config import Pipeline, Policy
from tasks.ragged import Examples
from tasks.references import (
    ChampionScores,
    Evaluation,
    GateResult,
    Prepared,
    Registered,
    Trained,
    Verdict,
)

if TYPE_CHECKING:
    Mask = NDArray[np.bool_]

FLOOR = "averaged_embeddings"


@task
def decide(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    evaluation: Evaluation,
    champion: ChampionScores | None,
    registered: Registered | None = None,
    *,
    wear: Wear | None = None,
    shadow: gates.Shadowed | None = None,
) -> Verdict:
    """Promote or keep, each gate with its numbers.

    Args:
        pipeline: Its gates and its policy.
        prepared: Where the test rows lie.
        trained: The night's candidates.
        evaluation: Says which of them challenges.
        champion: Production on the same rows; None for a first version.
        registered: The challenger's bundle as it was registered.
        wear: How often the test rows have judged a challenger before; None: never.
        shadow: What live traffic showed of this version already.

    Raises:
        GateError: the models were not scored on the same rows.
    """
    evidence = evidence_of(
        pipeline, prepared, trained, evaluation, champion, registered, wear=wear, shadow=shadow
    )
    return verdict_of(pipeline, evidence)


def verdict_of(pipeline: Pipeline, evidence: gates.Evidence) -> Verdict:
    """What the pipeline's gates and policy make of the evidence."""
    asked = [(gate.name, gate.options) for gate in pipeline.gates]
    decision = gates.decide(evidence, asked, policy_of(pipeline.policy))
    results = tuple(
        GateResult(
            gate=r.gate,
            passed=r.passed,
            sentence=r.sentence,
            numbers=dict(r.numbers),
            failing=None if r.passed else r.failing,
        )
        for r in decision.results
    )
    return Verdict(
        promote=decision.promote,
        verdict=decision.verdict,
        reason=decision.reason,
        gates=results,
        more_rows=decision.more_rows,
    )


def policy_of(policy: Policy) -> gates.PromotionPolicy:
    """The part of a pipeline's policy that concludes from the gates."""
    return gates.PromotionPolicy(
        fresher=policy.fresher,
        not_worse=policy.not_worse,
        new_classes=policy.new_classes,
        vanished_classes=policy.vanished_classes,
    )


def evidence_of(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    evaluation: Evaluation,
    champion: ChampionScores | None,
    registered: Registered | None = None,
    *,
    wear: Wear | None = None,
    shadow: gates.Shadowed | None = None,
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
        floor=_probabilities(said[floor]) if floor else None,
        challenger_is_floor=evaluation.challenger == floor,
        metric=pipeline.evaluation.metric,
        confidence=pipeline.evaluation.confidence,
        samples=pipeline.evaluation.bootstrap_samples,
        seed=pipeline.seed,
        extra={name: m.value for name, m in evaluation.challenger_scores.test.items()},
        slices=slices_of(pipeline, prepared) if champion else {},
        measured=_measured(evaluation, registered),
        wear=wear or Wear(),
        alpha=pipeline.policy.alpha,
        worn_after=pipeline.policy.worn_after,
        worn_stops=pipeline.policy.worn == "keep",
        shadow=shadow,
        waits=pipeline.policy.approval == "required",
        **_of_champion(prepared, evaluation, champion),
    )


def _of_champion(
    prepared: Prepared, evaluation: Evaluation, champion: ChampionScores | None
) -> dict[str, Any]:
    """The champion's part of the evidence; nothing for a first version."""
    if champion is None:
        return {}
    errors = evaluation.champion or {}
    gap = evaluation.difference.get("ece")
    return {
        "champion": _array(Path(champion.probabilities)),
        "champion_version": champion.version,
        "vanished": tuple(c for c in champion.classes if c not in prepared.classes),
        "champion_measured": gates.Measures(
            test_digest=champion.test_digest, ece=errors["ece"].value if "ece" in errors else None
        ),
        "calibration_low": gap.low if gap else None,
    }


def _measured(evaluation: Evaluation, registered: Registered | None) -> gates.Measures:
    """What was measured of the challenger beside its answers.

    Of two times the shorter counts: work beside it makes a row slower, nothing makes it quicker.
    """
    error = evaluation.challenger_scores.test.get("ece")
    timed = [evaluation.milliseconds.get(evaluation.challenger)]
    timed += [registered.latency_milliseconds] if registered else []
    return gates.Measures(
        test_digest=evaluation.test_digest,
        ece=error.value if error else None,
        latency_milliseconds=min((each for each in timed if each is not None), default=None),
        golden_difference=registered.golden_difference if registered else None,
        digest=registered.digest if registered else None,
        scored_digest=registered.scored_digest if registered else None,
    )


def slices_of(pipeline: Pipeline, prepared: Prepared) -> dict[str, Mask]:
    """`column=value` to the `(rows,)` mask of the test rows in it, of the columns named."""
    from tasks.evaluation.slices import members
    from tasks.inference.assembly import read_rows

    columns = pipeline.evaluation.slices
    if not columns:
        return {}
    rows = read_rows(Path(prepared.directory) / "rows_test.parquet")
    return {f"{by}={value}": mask for by, value, mask in members(rows, columns) if by in columns}


def _probabilities(directory: str) -> NDArray[np.float32]:
    return _array(Path(directory) / "test_probabilities.npy")


def _array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array
