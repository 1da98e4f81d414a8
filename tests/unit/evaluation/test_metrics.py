"""Metrics against scikit-learn on drawn data, and what cannot be measured at all."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tasks.evaluation.inputs import MetricError, without_missing_classes
from tasks.evaluation.metrics import METRICS, per_class, score


@st.composite
def measured(draw):
    """Labels and float32 probabilities; classes may be missing among labels or predictions."""
    rows, classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    labels = draw(arrays.arrays(np.int32, rows, elements=st.integers(0, classes - 1)))
    weights = draw(
        arrays.arrays(
            np.float32, (rows, classes), elements=st.floats(0, 1, width=32, allow_subnormal=False)
        )
    )
    weights[weights.sum(axis=1) < 1e-3] = 1
    return labels, weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)
@given(measured())
def test_every_metric_equals_that_of_scikit_learn(drawn):
    labels, probabilities = drawn
    predicted = probabilities.argmax(axis=1)
    every = list(range(probabilities.shape[1]))
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "balanced_accuracy": reference.recall_score(
            labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
        ),
        "macro_f1": reference.f1_score(labels, predicted, average="macro", zero_division=0),
        "macro_recall": reference.recall_score(labels, predicted, average="macro", zero_division=0),
        "weighted_f1": reference.f1_score(labels, predicted, average="weighted", zero_division=0),
        "mcc": reference.matthews_corrcoef(labels, predicted),
        "log_loss": reference.log_loss(labels, probabilities, labels=every),
        "brier": (((np.eye(len(every))[labels] - probabilities) ** 2).sum(axis=1)).mean(),
    }
    found = score(labels, probabilities)
    assert set(found) == set(METRICS)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name


@settings(deadline=None)
@given(measured())
def test_the_table_by_class_equals_that_of_scikit_learn(drawn):
    labels, probabilities = drawn
    classes = [f"class {index}" for index in range(probabilities.shape[1])]
    table = per_class(labels, probabilities, classes)
    expected = reference.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(classes)), zero_division=0
    )
    assert table["class"].tolist() == classes
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert table[name].to_numpy() == pytest.approx(values), name


def test_balanced_accuracy_equals_that_of_scikit_learn_where_predictions_stay_in_the_labels():
    labels = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    expected = reference.balanced_accuracy_score(labels, probabilities.argmax(axis=1))
    assert score(labels, probabilities)["balanced_accuracy"] == pytest.approx(expected)


def test_a_class_predicted_but_never_labelled_lowers_macro_recall_not_balanced_accuracy():
    found = score(np.array([0, 0]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert found["balanced_accuracy"] == 0.5
    assert found["macro_recall"] == 0.25


def test_the_brier_score_of_scikit_learn_is_the_same_sum():
    labels, probabilities = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
    expected = reference.brier_score_loss(labels, probabilities, scale_by_half=False)
    assert score(labels, probabilities)["brier"] == pytest.approx(expected)


def test_a_perfect_model_scores_one_and_loses_nothing():
    found = score(np.array([0, 1, 2, 1]), np.eye(3)[[0, 1, 2, 1]])
    assert {found[name] for name in METRICS[:6]} == {1.0}
    assert [found[name] for name in METRICS[6:]] == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_certain_wrong_answer_costs_a_finite_log_loss():
    found = score(np.array([0]), np.array([[0.0, 1.0]], np.float32))
    assert 15 < found["log_loss"] < 17


SOUND = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [[0.5, 0.5], [np.nan, 1]], "finite.*1 of 2 rows.*row 1"),
        ([0, 1], [[np.inf, 0], [0.5, 0.5]], "finite.*row 0"),
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "sum to 1.*row 0"),
        ([0, 1], [[0.5, 0.5], [-0.1, 1.1]], "non-negative.*row 1"),
        ([0, 2], SOUND, "0..1, got 0..2"),
        ([-1, 0], SOUND, "0..1, got -1..0"),
        ([0.0, 1.0], SOUND, "integers.*float64"),
        ([0], SOUND, r"\(1,\) and \(2, 2\)"),
        ([0, 1], [0.5, 0.5], r"\(2,\) and \(2,\)"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(labels, probabilities, message):
    with pytest.raises(MetricError, match=message):
        score(np.array(labels), np.array(probabilities))


def test_no_rows_are_refused():
    with pytest.raises(MetricError, match="at least one row"):
        score(np.array([], int), np.zeros((0, 3)))


def test_a_table_by_class_wants_a_name_for_every_column():
    with pytest.raises(MetricError, match="3 names for 2 columns"):
        per_class(np.array([0, 1]), SOUND, ["a", "b", "c"])


def test_a_class_a_model_never_knew_gets_no_mass_and_a_stray_nan_stays():
    given = np.array([[0.4, np.nan, 0.6], [np.nan, np.nan, 1.0]])
    filled = without_missing_classes(given)
    assert filled[:, 1].tolist() == [0, 0]
    assert np.isnan(filled[1, 0])
