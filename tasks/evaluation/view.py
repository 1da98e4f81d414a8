"""What the night report shows, in the order and the words in which it shows it."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import yaml

from model_registry.words import counted
from tasks.config import Candidate, Pipeline
from tasks.evaluation.charts import spoken
from tasks.evaluation.facts import bars, data, run, search
from tasks.evaluation.metrics import LOWER_IS_BETTER
from tasks.evaluation.selection import passed_over
from tasks.evaluation.slices import MIN_ROWS
from tasks.references import (
    Evaluation,
    Measured,
    Night,
    Prepared,
    SliceScores,
    Snapshot,
    Trained,
    Validated,
    Verdict,
)

MARKS = {"promoted": "▲", "kept": "●", "skipped": "◦", "failed": "✕"}
TONES = {"better": "good", "not worse and fresher": "good", "not enough evidence": "warn"}
TITLES = {
    "verdict": "Verdict",
    "candidates": "Candidates",
    "search": "Search",
    "challenger": "Challenger",
    "classes": "Classes",
    "slices": "Slices",
    "labels": "Labels",
    "data": "Data",
    "run": "The run",
}
METRIC_WORDS = {"ece": "calibration error", "brier": "Brier score"}


def context(
    night: Night,
    evaluation: Evaluation | None,
    pipeline: Pipeline,
    *,
    snapshot: Snapshot | None,
    validated: Validated | None,
    prepared: Prepared | None,
) -> dict[str, Any]:
    """Every name the template uses but pictures, style and versions."""
    measured = _measured(night, evaluation, pipeline) if evaluation else NOTHING
    searched = search(night.tuned)
    shown = {
        "search": searched is not None,
        "verdict": night.verdict is not None,
        "candidates": bool(measured["candidates"]),
        "challenger": bool(measured["comparison"]),
        "classes": bool(measured["comparison"]),
        "slices": bool(measured["slices"]),
        "labels": bool(measured["suspects"]),
    }
    return {
        "night": night,
        "pipeline": pipeline,
        "mark": MARKS[night.outcome],
        "verdict_tone": TONES.get(night.verdict.verdict, "bad") if night.verdict else "",
        "sections": [(id_, title) for id_, title in TITLES.items() if shown.get(id_, True)],
        "level": f"{pipeline.evaluation.confidence:.0%}",
        "min_rows": MIN_ROWS,
        "data": data(snapshot, validated, prepared),
        "findings": validated.findings if validated else (),
        "run": run(night),
        "search": searched,
        "bars": bars(night.seconds),
        "settings": yaml.safe_dump(
            pipeline.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
        ),
        **measured,
    }


NOTHING: dict[str, Any] = {
    "tiles": [],
    "candidates": [],
    "comparison": [],
    "slices": [],
    "suspects": (),
    "suspected": 0,
    "class_rows": None,
}


def _measured(night: Night, evaluation: Evaluation, pipeline: Pipeline) -> dict[str, Any]:
    metric = evaluation.metric
    second = "accuracy" if metric != "accuracy" else "macro_f1"
    champion = evaluation.champion or {}
    folds = any(each.folds for each in night.candidates)
    return {
        "metric_key": metric,
        "metric": _words(metric),
        "second_key": second,
        "second": _words(second),
        "chooser": "the validation folds" if folds else "validation rows",
        "slow": passed_over(evaluation.challenger, evaluation.milliseconds, pipeline.budget),
        "has_champion": bool(champion),
        "test_rows": f"{sum(evaluation.class_rows['test'].values()):,}",
        "tiles": _tiles(evaluation, night.verdict),
        "candidates": _candidates(night, evaluation, pipeline),
        "comparison": [
            {
                "name": _words(name),
                "lower": name in LOWER_IS_BETTER,
                **_beside(name, own, champion.get(name), evaluation.difference.get(name)),
            }
            for name, own in evaluation.challenger_scores.test.items()
        ],
        "classes": _classes(evaluation),
        "slice_metrics": list(evaluation.slices[0].challenger) if evaluation.slices else [],
        "slices": _slices(evaluation),
        "suspects": evaluation.suspects,
        "suspected": evaluation.suspected,
        "class_rows": _class_rows(evaluation),
    }


def _words(metric: str) -> str:
    """As people write it, and never broken at its hyphen."""
    return METRIC_WORDS.get(metric, spoken(metric)).replace("-", "\N{NON-BREAKING HYPHEN}")


def _beside(
    name: str, own: Measured, champion: Measured | None, difference: Measured | None
) -> dict[str, Any]:
    """A metric of both models, and whom it favours where that is more than chance."""
    shown = {"challenger": own, "champion": champion, "difference": "", "tone": ""}
    if difference is None:
        return shown
    clear = difference.low > 0 or difference.high < 0
    better = (difference.value < 0) == (name in LOWER_IS_BETTER)
    text = f"{difference.value:+.3f}".replace("-", "−") if difference.value else "0"
    return {**shown, "difference": text, "tone": ("good" if better else "bad") if clear else ""}


def _tiles(evaluation: Evaluation, verdict: Verdict | None) -> list[dict[str, str]]:
    metric, own = evaluation.metric, evaluation.challenger_scores.test[evaluation.metric]
    name, champion = _words(metric), evaluation.champion or {}
    other = champion.get(metric)
    compared = _beside(metric, own, other, evaluation.difference.get(metric))
    tiles = [
        _tile("challenger", evaluation.challenger, "chosen by validation"),
        _tile(f"its test {name}", f"{own.value:.3f}", _span(own)),
    ]
    if other:
        tiles += [
            _tile("the champion's", f"{other.value:.3f}", _span(other)),
            _tile("difference", compared["difference"], *_sure(compared["tone"], verdict)),
        ]
    worst = min(evaluation.classes, key=lambda each: each.recall.value)
    tiles.append(_tile("lowest class recall", f"{worst.recall.value:.3f}", worst.name))
    if spent := evaluation.milliseconds.get(evaluation.challenger):
        tiles.append(_tile("latency", f"{spent:.1f} ms", "one row alone"))
    return tiles


def _sure(tone: str, verdict: Verdict | None) -> tuple[str, str]:
    """What is said of the difference, and its tone: the gate's word, where it was asked."""
    gates = verdict.gates if verdict else ()
    asked = next((gate for gate in gates if gate.gate == "beats_champion"), None)
    if asked:
        tone = "good" if asked.passed else "bad" if asked.failing == "worse" else ""
    return ("beyond chance" if tone else "may be chance"), tone


def _tile(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _span(measured: Measured) -> str:
    return f"{measured.low:.3f} – {measured.high:.3f}"


def _candidates(night: Night, evaluation: Evaluation, pipeline: Pipeline) -> list[dict[str, Any]]:
    trained = {each.name: each for each in night.candidates}
    recipes = {each.name: _recipe(each) for each in pipeline.candidates}
    rows: list[dict[str, Any]] = []
    for scored in evaluation.candidates:
        tone = "chosen" if scored.name == evaluation.challenger else ""
        row = {"name": scored.name, "scored": scored, "tone": tone}
        rows.append({**row, **_effort(trained.get(scored.name))})
    rows += [
        {"name": name, "scored": None, "tone": "", "failed": why}
        for name, why in evaluation.excluded.items()
    ]
    return [{**row, "recipe": recipes.get(row["name"], "")} for row in rows]


def _recipe(candidate: Candidate) -> str:
    resampling = candidate.resampling.name
    return (
        f"{candidate.architecture.name} · {'no resampling' if resampling == 'none' else resampling}"
    )


def _effort(trained: Trained | None) -> dict[str, str]:
    """Rows, parameters, epochs and seconds, and how far folds differ."""
    if trained is None:
        return dict.fromkeys(("rows", "resampled", "parameters", "epochs", "seconds", "folds"), "")
    before = sum(first for first, _ in trained.class_counts.values())
    after = sum(second for _, second in trained.class_counts.values())
    return {
        "rows": f"{before:,}",
        "resampled": f"→ {after:,}" if after != before else "",
        "parameters": f"{trained.parameters:,}",
        "epochs": f"{trained.epochs:,}",
        "seconds": f"{trained.seconds:,.1f}",
        "folds": counted(len(trained.folds), "fold") if trained.folds else "",
    }


def _classes(evaluation: Evaluation) -> list[dict[str, Any]]:
    champion = {each.name: each for each in evaluation.champion_classes}
    return [
        {"challenger": each, "champion": champion.get(each.name)} for each in evaluation.classes
    ]


def _slices(evaluation: Evaluation) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (by, [{"part": part, "cells": _cells(part)} for part in parts])
        for by, parts in groupby(evaluation.slices, key=lambda part: part.by)
    ]


def _cells(part: SliceScores) -> list[dict[str, Any]]:
    return [
        _beside(name, own, part.champion.get(name), part.difference.get(name))
        for name, own in part.challenger.items()
    ]


def _class_rows(evaluation: Evaluation) -> dict[str, Any]:
    splits = evaluation.class_rows
    classes = [each.name for each in evaluation.classes]
    return {
        "splits": list(splits),
        "classes": [(name, [splits[split][name] for split in splits]) for name in classes],
    }
