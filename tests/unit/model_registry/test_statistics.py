import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as reference

from model_registry.errors import GateError
from model_registry.statistics import METRICS, paired_difference, value

REFERENCES = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_f1": lambda true, said: reference.f1_score(true, said, average="macro"),
    "mcc": reference.matthews_corrcoef,
    "weighted_f1": lambda true, said: reference.f1_score(true, said, average="weighted"),
}


def rows(count, classes, right, rng):
    labels = rng.integers(0, classes, count)
    noise = rng.integers(0, classes, count)
    return labels, *(np.where(rng.random(count) < share, labels, noise) for share in right)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_metric_equals_scikit_learns(metric, data):
    shape = data.draw(st.integers(1, 40))
    true, said = (
        data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 4))) for _ in range(2)
    )
    expected = REFERENCES[metric](true, said)
    assert value(metric, true, said, 5) == pytest.approx(expected, abs=1e-12)


def test_drawing_counts_agrees_with_drawing_rows():
    """The multinomial shortcut against a plain stratified bootstrap over rows."""
    rng = np.random.default_rng(3)
    labels, first, second = rows(400, 4, (0.8, 0.7), rng)
    fast = paired_difference(
        labels, first, second, classes=4, metric="macro_f1", samples=4_000, seed=5
    )
    groups = [np.flatnonzero(labels == c) for c in range(4)]
    plain = []
    for _ in range(1_500):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        plain.append(
            value("macro_f1", labels[drawn], first[drawn], 4)
            - value("macro_f1", labels[drawn], second[drawn], 4)
        )
    low, high = np.quantile(plain, [0.025, 0.975])
    assert fast.low == pytest.approx(low, abs=0.01)
    assert fast.high == pytest.approx(high, abs=0.01)


def test_swapping_the_models_turns_the_sign():
    labels, first, second = rows(300, 3, (0.8, 0.6), np.random.default_rng(0))
    one = paired_difference(labels, first, second, classes=3, metric="mcc", seed=1)
    two = paired_difference(labels, second, first, classes=3, metric="mcc", seed=1)
    assert one.difference == -two.difference
    assert one.low > 0 > two.high
    assert one.p == pytest.approx(2 / 1_001)


def test_the_same_seed_gives_the_same_interval():
    labels, first, second = rows(300, 3, (0.8, 0.75), np.random.default_rng(0))
    one, two, other = (
        paired_difference(labels, first, second, classes=3, metric="macro_f1", seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        labels, first, second = rows(500, 4, (0.8, 0.7), np.random.default_rng(seed))
        found = paired_difference(
            labels, first, second, classes=4, metric="accuracy", samples=300, seed=seed
        )
        covered += found.low <= 0.1 * 0.75 <= found.high
    assert covered >= 180


def test_twelve_thousand_rows_and_a_thousand_samples_take_under_three_seconds():
    labels, first, second = rows(12_000, 77, (0.8, 0.79), np.random.default_rng(0))
    began = time.process_time()
    paired_difference(labels, first, second, classes=77, metric="macro_f1", samples=1_000)
    assert time.process_time() - began < 3


def test_no_rows_and_other_rows_are_refused():
    none = np.array([], np.int64)
    with pytest.raises(GateError, match="0 labels"):
        paired_difference(none, none, none, classes=2, metric="accuracy")
    with pytest.raises(GateError, match="3 labels, 3 and 2 predictions"):
        paired_difference(
            np.zeros(3, int), np.zeros(3, int), np.zeros(2, int), classes=2, metric="accuracy"
        )


def test_an_unknown_metric_names_those_there_are():
    one = np.zeros(3, np.int64)
    with pytest.raises(GateError, match="'auc': cannot be compared; use one of accuracy"):
        paired_difference(one, one, one, classes=2, metric="auc")
