"""The stage from files to an evaluation: who challenges, who is out, what is written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.config import Choice
from tasks.evaluate import evaluate
from tasks.evaluation.answers import read
from tasks.evaluation.assess import assess
from tasks.evaluation.inputs import MetricError
from tasks.evaluation.metrics import METRICS, per_class, score
from tasks.references import Evaluation
from tests.measured_night import (
    CLASSES,
    ROWS,
    answers,
    candidate,
    champion,
    labels,
    pipeline,
    prepared,
)


def assessed(settings, ready, trained, before=None, spent=None):
    """What the stage finds, without drawing it."""
    answered = read(ready, trained, before, settings.evaluation.metric)
    given = {"directory": "nowhere", "milliseconds": lambda each: spent[each.name]}
    return assess(settings, ready, trained, answered, **given)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Three candidates and a champion that never knew the last class."""
    home = tmp_path_factory.mktemp("night")
    trained = (
        candidate(home, "floor", validation=0.5, test=0.5),
        candidate(home, "chosen", validation=3.0, test=1.5),
        candidate(home, "tempting", validation=1.5, test=5.0),
    )
    settings = pipeline("floor", "chosen", "tempting")
    before = champion(home, 1.0, unknown=2)
    found = evaluate.fn(settings, prepared(home), trained, before)
    return found, home


def test_validation_rows_choose_and_a_better_test_score_never_does(measured):
    found, _ = measured
    test = {each.name: each.test["macro_f1"].value for each in found.candidates}
    assert found.challenger == "chosen"
    assert [each.name for each in found.candidates] == ["chosen", "tempting", "floor"]
    assert test["tempting"] > test["chosen"] + 0.1


def test_every_candidate_has_every_metric_with_its_interval_on_both_splits(measured):
    found, _ = measured
    expected = score(labels("test"), answers(labels("test"), 1.5, seed=1))
    for each in found.candidates:
        assert set(each.validation) == set(each.test) == set(METRICS)
    for name, value in found.challenger_scores.test.items():
        assert value.value == pytest.approx(expected[name])
        assert value.low <= value.value <= value.high


def test_a_champion_that_lacks_a_class_is_measured_on_the_same_rows(measured):
    found, home = measured
    stored = np.nan_to_num(np.load(home / "champion.npy"))
    expected = score(labels("test"), stored)
    assert found.champion["accuracy"].value == pytest.approx(expected["accuracy"])
    assert found.champion_classes[2].recall.value == 0
    assert found.champion_classes[2].support == found.classes[2].support > 0
    gap = found.challenger_scores.test["accuracy"].value - expected["accuracy"]
    assert found.difference["accuracy"].value == pytest.approx(gap)


def test_rows_are_counted_by_class_and_split(measured):
    found, _ = measured
    for split, rows in ROWS.items():
        assert sum(found.class_rows[split].values()) == rows
    assert tuple(found.class_rows["test"]) == CLASSES


def test_slices_cover_length_time_and_the_columns_named(measured):
    found, _ = measured
    assert {part.by for part in found.slices} == {"length", "time", "channel"}


def test_the_record_and_every_file_it_names_are_in_its_directory(measured):
    found, home = measured
    directory = Path(found.directory)
    assert directory == home / "evaluation"
    assert Evaluation.model_validate_json((directory / "evaluation.json").read_text()) == found
    names = {path.name for path in directory.iterdir()}
    pictures = {f"{plot.name}.{ending}" for plot in found.plots for ending in ("png", "svg")}
    assert len(found.plots) == 7
    assert names == {"evaluation.json", *found.tables, *pictures}


def test_the_tables_hold_the_numbers_of_the_record(measured):
    found, _ = measured
    directory = Path(found.directory)
    classes = pd.read_csv(directory / "per_class.csv")
    ours = classes[classes["model"] == "challenger"]
    assert ours["recall"].tolist() == pytest.approx([each.recall.value for each in found.classes])
    confusion = pd.read_csv(directory / "confusion.csv", index_col="true")
    assert confusion.sum(axis=1).tolist() == [each.support for each in found.classes]
    parts = pd.read_csv(directory / "slices.csv")
    assert len(parts) == len(found.slices)
    assert {"challenger_macro_f1_low", "difference_macro_f1"} <= set(parts.columns)
    assert len(pd.read_csv(directory / "candidates.csv")) == 3


def test_with_a_budget_the_best_candidate_that_keeps_it_challenges(tmp_path):
    strengths = {"slow": 3, "quick": 2, "floor": 1}
    trained = tuple(candidate(tmp_path, name, of, of) for name, of in strengths.items())
    gate = Choice(name="fast_enough", options={"milliseconds": 5})
    settings = pipeline(*strengths).model_copy(update={"gates": (gate,)})
    found = assessed(settings, prepared(tmp_path), trained, spent={"slow": 9.0, "quick": 4.0})
    assert (found.challenger, found.milliseconds) == ("quick", {"slow": 9.0, "quick": 4.0})
    assert [each.name for each in found.candidates] == list(strengths)
    recall = per_class(labels("test"), answers(labels("test"), 2, seed=1), CLASSES)["recall"]
    assert [each.recall.value for each in found.classes] == pytest.approx(recall.tolist())


def test_candidates_without_usable_answers_are_out_with_the_reason(tmp_path):
    failed = candidate(tmp_path, "failed", 9, 9).model_copy(update={"failed": "loss is NaN"})
    diverged = candidate(tmp_path, "diverged", 9, 9)
    given = np.load(Path(diverged.directory) / "test_probabilities.npy")
    given[4, 1] = np.nan
    np.save(Path(diverged.directory) / "test_probabilities.npy", given)
    stale = candidate(tmp_path, "stale", 9, 9)
    np.save(Path(stale.directory) / "validation_probabilities.npy", given[:5])
    lost = candidate(tmp_path, "lost", 9, 9)
    (Path(lost.directory) / "validation_probabilities.npy").unlink()
    folded = candidate(tmp_path, "folded", 9, 9, folds=({"macro_f1": float("nan")},))
    sound = candidate(tmp_path, "sound", 1, 1)
    trained = (failed, diverged, stale, lost, folded, sound)
    settings = pipeline(*(each.name for each in trained))
    found = assessed(settings, prepared(tmp_path), trained)
    assert found.challenger == "sound"
    assert list(found.excluded) == ["failed", "diverged", "stale", "lost", "folded"]
    assert found.excluded["failed"] == "loss is NaN"
    assert "row 4" in found.excluded["diverged"]
    assert "expected (240, 3)" in found.excluded["stale"]
    assert "cannot be read" in found.excluded["lost"]
    assert "fold 1" in found.excluded["folded"]


def test_the_first_night_has_no_champion(tmp_path):
    only = candidate(tmp_path, "only", 1, 1)
    found = assessed(pipeline("only", slices=[]), prepared(tmp_path), (only,))
    assert found.champion is None
    assert found.difference == {}
    assert found.champion_classes == ()


def test_a_night_without_one_usable_candidate_ends_with_all_the_reasons(tmp_path):
    broken = candidate(tmp_path, "broken", 1, 1).model_copy(update={"failed": "out of memory"})
    with pytest.raises(MetricError, match="broken: out of memory"):
        evaluate.fn(pipeline("broken"), prepared(tmp_path), (broken,))


def test_rows_in_another_order_than_their_answers_are_refused(tmp_path):
    only, ready = candidate(tmp_path, "only", 1, 1), prepared(tmp_path)
    path = Path(ready.directory) / "rows_test.parquet"
    pd.read_parquet(path)[::-1].to_parquet(path, index=False)
    with pytest.raises(MetricError, match="same order"):
        evaluate.fn(pipeline("only"), ready, (only,))


def test_a_champion_whose_answers_are_not_finite_stops_the_evaluation(tmp_path):
    only, path = candidate(tmp_path, "only", 1, 1), champion(tmp_path, 1.0)
    given = np.load(path)
    given[0, 0] = np.inf
    np.save(path, given)
    with pytest.raises(MetricError, match=r"champion\.npy.*finite"):
        evaluate.fn(pipeline("only"), prepared(tmp_path), (only,), path)


def test_evaluating_again_gives_the_same_record_and_keeps_nothing_stale(tmp_path):
    only, ready, settings = candidate(tmp_path, "only", 1, 1), prepared(tmp_path), pipeline("only")
    (Path(only.directory) / "history.json").unlink()  # which costs a curve and nothing else
    first = evaluate.fn(settings, ready, (only,))
    assert len(first.plots) == 6
    assert "learning_curves" not in {plot.name for plot in first.plots}
    stale = Path(first.directory) / "of_an_earlier_night.png"
    stale.touch()
    record = json.loads((Path(first.directory) / "evaluation.json").read_text())
    assert evaluate.fn(settings, ready, (only,)) == first
    assert not stale.exists()
    assert json.loads((Path(first.directory) / "evaluation.json").read_text()) == record


def test_numeric_rows_are_read_with_their_series(tmp_path):
    only, ready = candidate(tmp_path, "only", 1, 1), prepared(tmp_path)
    path = Path(ready.directory) / "rows_test.parquet"
    kind = pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))
    rows = pd.read_parquet(path).drop(columns="text")
    rows["series"] = pd.Series([[[0.1, None]] * (1 + row % 20) for row in rows.index], dtype=kind)
    rows.to_parquet(path, index=False)
    found = assessed(pipeline("only"), ready, (only,))
    lengths = [part.value for part in found.slices if part.by == "length"]
    assert lengths == ["1 to 5 steps", "6 to 10 steps", "11 to 15 steps", "16 to 20 steps"]
