"""Stage: measure all models on the same rows and choose the challenger."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import task

from tasks.config import Pipeline
from tasks.evaluation.answers import read
from tasks.evaluation.assess import assess, pictures, tables
from tasks.evaluation.files import save
from tasks.evaluation.suspects import SHOWN, suspects, table
from tasks.references import Evaluation, Prepared, Trained

logger = logging.getLogger(__name__)


@task
def evaluate(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    champion_probabilities: str | None = None,
    *,
    latency_milliseconds: float | None = None,
) -> Evaluation:
    """Measure the night's candidates and the champion; validation rows choose the challenger.

    Args:
        pipeline: Says the metric, the slices and the intervals.
        prepared: The rows that choose and the rows that judge.
        trained: The candidates; failed ones are left out, with the reason.
        champion_probabilities: Path of the champion's `.npy` over the test rows in the order
            of `prepared.classes`; a column of nothing but NaN is a class it does not know.
        latency_milliseconds: Of one row scored alone, where it was measured.

    Returns:
        The evaluation; its directory, beside the candidates', holds evaluation.json, CSV
        tables and plots, and no earlier night's.

    Raises:
        MetricError: rows and labels that disagree, or no candidate with usable answers.
    """
    directory = Path(prepared.directory).parents[1] / "evaluation"
    answers = read(prepared, trained, champion_probabilities, pipeline.evaluation.metric)
    found = assess(pipeline, prepared, trained, answers, directory=str(directory))
    challenger = next(each for each in trained if each.name == found.challenger)
    doubted = suspects(prepared, challenger)
    more = {"suspects": tuple(doubted[:SHOWN]), "suspected": len(doubted)}
    found = found.model_copy(update={"latency_milliseconds": latency_milliseconds, **more})
    for name, why in found.excluded.items():
        logger.warning("candidate %s is left out: %s", name, why)
    score = found.challenger_scores.test[found.metric]
    logger.info(
        "challenger: %s, test %s %.3f (%.3f to %.3f)",
        *(found.challenger, found.metric, score.value, score.low, score.high),
    )
    written = {**tables(found, answers), "suspected_labels": table(doubted)}
    return save(found, pictures(found, trained, answers), written)
