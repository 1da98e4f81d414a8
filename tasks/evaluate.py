"""Stage: measure all models on the same rows and choose the challenger."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from prefect import task

from infra.settings import Settings
from tasks.config import Pipeline
from tasks.evaluation.answers import read
from tasks.evaluation.assess import assess, pictures, tables
from tasks.evaluation.files import save
from tasks.evaluation.selection import passed_over
from tasks.evaluation.suspects import SHOWN, suspects, table
from tasks.inference.timing import milliseconds_alone
from tasks.references import Evaluation, Prepared, Trained

logger = logging.getLogger(__name__)


@task
def evaluate(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: tuple[Trained, ...],
    champion_probabilities: str | None = None,
) -> Evaluation:
    """Measure the night's candidates and the champion; validation rows choose the challenger.

    Where the gate `fast_enough` is given a budget, candidates are timed, best first, until one
    keeps it.

    Args:
        pipeline: Says the metric, the slices and the intervals.
        prepared: The rows that choose and the rows that judge.
        trained: The candidates; failed ones are left out, with the reason.
        champion_probabilities: Path of the champion's `.npy` over the test rows in the order
            of `prepared.classes`; a column of nothing but NaN is a class it does not know.

    Returns:
        The evaluation; its directory, beside the candidates', holds evaluation.json, CSV
        tables and plots, and no earlier night's.

    Raises:
        MetricError: rows and labels that disagree, or no candidate with usable answers.
        BundleRefused: a candidate cannot be timed, because no reader would accept its bundle.
        ScoringFailed: a candidate cannot be timed, because its bundle does not answer.
    """
    directory = Path(prepared.directory).parents[1] / "evaluation"
    answers = read(prepared, trained, champion_probabilities, pipeline.evaluation.metric)
    timer = partial(milliseconds_alone, pipeline, prepared, key=Settings().signing_key)
    found = assess(
        pipeline, prepared, trained, answers, directory=str(directory), milliseconds=timer
    )
    challenger = next(each for each in trained if each.name == found.challenger)
    doubted = suspects(prepared, challenger)
    more = {"suspects": tuple(doubted[:SHOWN]), "suspected": len(doubted)}
    found = found.model_copy(update=more)
    for name, why in found.excluded.items():
        logger.warning("candidate %s is left out: %s", name, why)
    if slow := passed_over(found.challenger, found.milliseconds, pipeline.budget):
        logger.warning("%s", slow)
    score = found.challenger_scores.test[found.metric]
    logger.info(
        "challenger: %s, test %s %.3f (%.3f to %.3f)",
        *(found.challenger, found.metric, score.value, score.low, score.high),
    )
    written = {**tables(found, answers), "suspected_labels": table(doubted)}
    return save(found, pictures(found, trained, answers), written)
