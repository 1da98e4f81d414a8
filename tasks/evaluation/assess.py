"""From the models' answers to an `Evaluation`: numbers first, then pictures and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.config import Pipeline
from tasks.evaluation import charts, plots
from tasks.evaluation.answers import Answers
from tasks.evaluation.confusion import confusion
from tasks.evaluation.inputs import Labels, Probabilities
from tasks.evaluation.intervals import differences, intervals, wilson
from tasks.evaluation.metrics import per_class
from tasks.evaluation.selection import in_time, ranking
from tasks.evaluation.slices import slices
from tasks.evaluation.style import CHALLENGER, CHAMPION, Picture
from tasks.references import (
    ClassScores,
    Evaluation,
    Measured,
    Prepared,
    Scored,
    SliceScores,
    Trained,
)


def assess(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: Sequence[Trained],
    answers: Answers,
    *,
    directory: str,
    milliseconds: Callable[[Trained], float],
) -> Evaluation:
    """Measure every model and choose the challenger, on validation rows only.

    With a budget for the gate `fast_enough` it is the best of those that keep it, if some do.

    Args:
        pipeline: Says the metric, the slices and the intervals.
        prepared: Classes and the digest of the test rows.
        trained: The night's candidates, in the order of the pipeline.
        answers: What they answered.
        directory: Where pictures and tables will lie.
        milliseconds: Times a candidate, where there is a budget.
    """
    metric = pipeline.evaluation.metric
    measured = {name: _measured(pipeline, answers, name) for name in answers.test}
    validation = {name: pair["validation"][metric].value for name, pair in measured.items()}
    ranked = ranking(trained, validation, metric, prepared)
    chosen, timed = in_time([each for each, _ in ranked], pipeline.budget, milliseconds)
    best = chosen.name
    return Evaluation(
        directory=directory,
        metric=metric,
        challenger=best,
        milliseconds=timed,
        candidates=tuple(
            Scored(name=each.name, chosen_by=value, **measured[each.name]) for each, value in ranked
        ),
        excluded=dict(answers.excluded),
        classes=_classes(pipeline, prepared, answers, answers.test[best]),
        slices=_slices(pipeline, answers, best),
        class_rows={
            split: _rows_by_class(labels, prepared.classes)
            for split, labels in answers.labels.items()
        },
        test_digest=prepared.test_digest,
        **_champion(pipeline, prepared, answers, best),
    )


def _champion(
    pipeline: Pipeline, prepared: Prepared, answers: Answers, challenger: str
) -> dict[str, Any]:
    """What the evaluation says of the champion; nothing where there is none."""
    if answers.champion is None:
        return {}
    labels, how = answers.labels["test"], _resampling(pipeline)
    return {
        "champion": intervals(labels, answers.champion, **how),
        "difference": differences(labels, answers.test[challenger], answers.champion, **how),
        "champion_classes": _classes(pipeline, prepared, answers, answers.champion),
    }


def _measured(pipeline: Pipeline, answers: Answers, name: str) -> dict[str, Any]:
    """A candidate's metrics on the validation rows and on the test rows."""
    given = {"validation": answers.validation[name], "test": answers.test[name]}
    return {
        split: intervals(answers.labels[split], each, **_resampling(pipeline))
        for split, each in given.items()
    }


def _resampling(pipeline: Pipeline) -> dict[str, Any]:
    settings = pipeline.evaluation
    return {
        "samples": settings.bootstrap_samples,
        "confidence": settings.confidence,
        "seed": pipeline.seed,
    }


def _slices(pipeline: Pipeline, answers: Answers, challenger: str) -> tuple[SliceScores, ...]:
    settings = pipeline.evaluation
    return slices(
        answers.rows,
        answers.labels["test"],
        answers.test[challenger],
        answers.champion,
        columns=settings.slices,
        metrics=dict.fromkeys((settings.metric, "accuracy")),
        **_resampling(pipeline),
    )


def _classes(
    pipeline: Pipeline, prepared: Prepared, answers: Answers, probabilities: Probabilities
) -> tuple[ClassScores, ...]:
    """Every class on the test rows; recall is a share of its rows, so Wilson's interval fits."""
    scores, confidence = [], pipeline.evaluation.confidence
    table = per_class(answers.labels["test"], probabilities, prepared.classes)
    for row in table.to_dict("records"):
        low, high = wilson(round(row["recall"] * row["support"]), row["support"], confidence)
        scores.append(
            ClassScores(
                name=row["class"],
                precision=row["precision"],
                recall=Measured(value=row["recall"], low=low, high=high),
                f1=row["f1"],
                support=row["support"],
            )
        )
    return tuple(scores)


def _rows_by_class(labels: Labels, classes: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))


def pictures(evaluation: Evaluation, trained: Sequence[Trained], answers: Answers) -> list[Picture]:
    """Everything worth drawing, the comparison first."""
    labels, best = answers.labels["test"], answers.test[evaluation.challenger]
    names = [each.name for each in evaluation.classes]
    champion = evaluation.champion[evaluation.metric] if evaluation.champion else None
    models = {"challenger": (best, CHALLENGER)}
    if answers.champion is not None:
        models["champion"] = (answers.champion, CHAMPION)
    drawn = [
        charts.comparison(evaluation.candidates, champion, evaluation.metric),
        charts.class_recall(evaluation.classes, evaluation.champion_classes),
        plots.confusion_matrix(confusion(labels, best.argmax(axis=1), len(names)), names),
        plots.precision_recall(labels, best, names),
        plots.reliability_diagram(labels, models),
    ]
    histories = {name: epochs for name, epochs in answers.histories.items() if epochs}
    if histories:
        drawn.append(charts.learning_curves(histories, evaluation.metric))
    counts = {each.name: each.class_counts for each in trained if each.class_counts}
    if counts:
        drawn.append(charts.class_counts(counts))
    return drawn


def tables(evaluation: Evaluation, answers: Answers) -> dict[str, pd.DataFrame]:
    """The numbers behind the pictures, as CSV files want them."""
    names = [each.name for each in evaluation.classes]
    predicted = answers.test[evaluation.challenger].argmax(axis=1)
    counts = confusion(answers.labels["test"], predicted, len(names))
    return {
        "candidates": pd.DataFrame(_candidate_rows(evaluation)),
        "per_class": pd.DataFrame(_class_rows(evaluation)),
        "slices": pd.DataFrame(_slice_rows(evaluation.slices)),
        "confusion": pd.DataFrame(counts, pd.Index(names, name="true"), names).reset_index(),
    }


def _candidate_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {"candidate": each.name, **_flat("validation", each.validation), **_flat("test", each.test)}
        for each in evaluation.candidates
    ]


def _class_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    models = {"challenger": evaluation.classes, "champion": evaluation.champion_classes}
    return [
        {
            "model": model,
            "class": each.name,
            "precision": each.precision,
            "recall": each.recall.value,
            "recall_low": each.recall.low,
            "recall_high": each.recall.high,
            "f1": each.f1,
            "support": each.support,
        }
        for model, classes in models.items()
        for each in classes
    ]


def _slice_rows(parts: Sequence[SliceScores]) -> list[dict[str, Any]]:
    return [
        {
            "by": each.by,
            "value": each.value,
            "rows": each.rows,
            "reliable": each.reliable,
            **_flat("challenger", each.challenger),
            **_flat("champion", each.champion),
            **_flat("difference", each.difference),
        }
        for each in parts
    ]


def _flat(prefix: str, measured: Mapping[str, Measured]) -> dict[str, float]:
    return {
        f"{prefix}_{name}{ending}": value
        for name, each in measured.items()
        for ending, value in (("", each.value), ("_low", each.low), ("_high", each.high))
    }
