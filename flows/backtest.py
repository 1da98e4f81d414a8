"""Past nights over dated data, replayed under each policy.

Every policy judges the same models on the same test rows. Quality is measured on what came
*after* a night, up to the next one: rows that no model had seen. The contract is not asked,
and what is measured of a bundle (latency, golden rows, calibration) neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from flows.past_nights import Scored
from model_registry import gates, statistics
from model_registry.evidence import answers
from model_registry.spending import Looks, Wear
from tasks.config import ConfigError, Pipeline

NEVER, NEVER_WHY = "never retrain", "the first night's model for ever"


@dataclass(frozen=True)
class Step:
    """What one policy did on one night, and what that was worth afterwards.

    Attributes:
        day: Logical date.
        promoted: Whether the night's challenger went to Production.
        verdict: In words.
        reason: The sentence.
        champion: Day of the model that served afterwards.
        quality: Its metric on the rows until the next night; NaN without such rows.
        rows: How many those were.
        worse: Promoted, and worse on all later rows than the champion it replaced.
    """

    day: date
    promoted: bool
    verdict: str
    reason: str
    champion: date
    quality: float
    rows: int
    worse: bool


def nights_between(since: date, until: date) -> list[date]:
    """Every day of the span.

    Raises:
        ConfigError: the span ends before it begins.
    """
    if until < since:
        raise ConfigError(f"--to {until}: is before --from {since}; give the later day last")
    return [since + timedelta(days=day) for day in range((until - since).days + 1)]


def with_policy(pipeline: Pipeline, path: Path) -> Pipeline:
    """The pipeline with the `gates` and the `policy` of a file instead of its own.

    Raises:
        ConfigError: no such file, or keys that are no policy.
    """
    from pydantic import ValidationError

    from tasks.choices import check
    from tasks.misfits import explain
    from tasks.pipeline_file import mapping_in

    content = mapping_in(path)
    if not content.keys() <= {"gates", "policy"}:
        raise ConfigError(f"{path}: expected the keys `gates` and `policy` of a pipeline, no other")
    try:
        changed = Pipeline.model_validate({**pipeline.model_dump(), **content})
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Pipeline)}") from None
    check(changed)
    return changed


def replay(pipeline: Pipeline, scored: Scored) -> list[Step]:
    """What the pipeline's gates and policy do, night after night, and what it was worth."""
    from tasks.decide import verdict_of

    champion: int | None = None
    looks = Looks()
    steps = []
    for night, day in enumerate(scored.days):
        asked = (scored.digests[night], scored.sketches[night])
        verdict = verdict_of(
            pipeline, _evidence(pipeline, scored, night, champion, looks.wear(*asked))
        )
        if champion is not None:
            looks.count(*asked)
        before = champion
        champion = night if verdict.promote or champion is None else champion
        worse = before is not None and verdict.promote and _regrets(pipeline, scored, night, before)
        quality, rows = _quality(pipeline, scored, champion, [night])
        steps.append(
            Step(
                *(day, champion == night, verdict.verdict, verdict.reason),
                *(scored.days[champion], quality, rows, worse),
            )
        )
    return steps


def never(pipeline: Pipeline, scored: Scored) -> list[Step]:
    """The first model, for ever."""
    steps = []
    for night, day in enumerate(scored.days):
        quality, rows = _quality(pipeline, scored, 0, [night])
        first = scored.days[0]
        steps.append(Step(day, night == 0, NEVER, NEVER_WHY, first, quality, rows, worse=False))
    return steps


def _evidence(
    pipeline: Pipeline, scored: Scored, night: int, champion: int | None, wear: Wear
) -> gates.Evidence:
    return gates.Evidence(
        labels=scored.labels[night],
        classes=scored.classes[night],
        challenger=scored.tests[night, night],
        champion=None if champion is None else scored.tests[champion, night],
        champion_version=None if champion is None else str(champion + 1),
        metric=pipeline.evaluation.metric,
        confidence=pipeline.evaluation.confidence,
        samples=pipeline.evaluation.bootstrap_samples,
        seed=pipeline.seed,
        wear=wear,
        alpha=pipeline.policy.alpha,
        worn_after=pipeline.policy.worn_after,
        worn_stops=pipeline.policy.worn == "keep",
    )


def _quality(
    pipeline: Pipeline, scored: Scored, model: int, nights: Sequence[int]
) -> tuple[float, int]:
    """A model's metric on the rows that came after these nights, and how many they are."""
    labels = np.concatenate([scored.live_labels[night] for night in nights])
    if not len(labels):
        return float("nan"), 0
    said = np.concatenate([answers(scored.live[model, night]) for night in nights])
    metric, classes = pipeline.evaluation.metric, len(scored.classes[-1])
    return statistics.value(metric, labels, said, classes), len(labels)


def _regrets(pipeline: Pipeline, scored: Scored, new: int, old: int) -> bool:
    """Whether the new model is worse than the old one on everything that came later."""
    later = range(new, len(scored.days))
    return _quality(pipeline, scored, new, later)[0] < _quality(pipeline, scored, old, later)[0]


def summary(pipeline: Pipeline, replays: Mapping[str, Sequence[Step]]) -> list[dict[str, Any]]:
    """One line a policy: promotions, regrets, quality on average (by rows) and at the end."""
    lines = []
    for name, steps in replays.items():
        judged = [step for step in steps if step.rows]
        rows = sum(step.rows for step in judged)
        mean = sum(step.quality * step.rows for step in judged) / rows if rows else float("nan")
        lines.append(
            {
                "policy": name,
                "promotions": sum(step.promoted for step in steps[1:]),
                "worse_let_through": sum(step.worse for step in steps),
                "metric": pipeline.evaluation.metric,
                "mean_quality": mean,
                "last_quality": judged[-1].quality if judged else float("nan"),
                "rows": rows,
                "nights": [asdict(step) for step in steps],
            }
        )
    return lines
