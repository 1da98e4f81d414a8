"""Intervals: right against a row-by-row bootstrap, honest in coverage, fast, repeatable."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tasks.evaluation import bootstrap
from tasks.evaluation.confusion import CONFUSION_METRICS
from tasks.evaluation.intervals import differences, intervals, wilson
from tasks.evaluation.metrics import METRICS, score
from tests.measured_night import answers

SHARES = (0.7, 0.2, 0.1)


def drawn(rows, strength=1.5, seed=0):
    labels = np.random.default_rng(seed).choice(3, rows, p=SHARES)
    return labels, answers(labels, strength, seed)


def test_intervals_agree_with_resampling_the_rows_one_by_one():
    labels, probabilities = drawn(400)
    rng = np.random.default_rng(1)
    strata = [np.flatnonzero(labels == label) for label in range(3)]
    samples = []
    for _ in range(1_000):
        rows = np.concatenate([rng.choice(own, len(own)) for own in strata])
        samples.append(score(labels[rows], probabilities[rows]))
    found = intervals(labels, probabilities, samples=4_000)
    for name in METRICS[:-1]:
        low, high = np.quantile([sample[name] for sample in samples], [0.025, 0.975])
        assert found[name].low == pytest.approx(low, abs=0.15 * (high - low)), name
        assert found[name].high == pytest.approx(high, abs=0.15 * (high - low)), name


def test_ninety_five_of_a_hundred_intervals_hold_the_truth():
    truth = score(*drawn(200_000, seed=99))
    held = {"accuracy": 0, "macro_f1": 0, "log_loss": 0}
    for seed in range(100):
        found = intervals(*drawn(500, seed=seed), samples=200, seed=seed)
        for name in held:
            held[name] += found[name].low <= truth[name] <= found[name].high
    assert all(88 <= count <= 100 for count in held.values()), held


def test_every_interval_holds_its_value():
    found = intervals(*drawn(60, seed=3), samples=200)
    assert all(each.low <= each.value <= each.high for each in found.values())


def test_a_calibrated_model_is_not_said_to_be_surely_miscalibrated():
    rng = np.random.default_rng(5)
    first = rng.uniform(0.05, 0.95, 3_000)
    labels = (rng.uniform(size=3_000) > first).astype(int)
    found = intervals(labels, np.column_stack([first, 1 - first]))
    assert found["ece"].low < 0.012


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    labels, probabilities = drawn(200)
    assert intervals(labels, probabilities, seed=4) == intervals(labels, probabilities, seed=4)
    assert intervals(labels, probabilities, seed=4) != intervals(labels, probabilities, seed=5)


def test_more_confidence_and_fewer_rows_widen_an_interval():
    labels, probabilities = drawn(800)

    def width(rows, confidence):
        found = intervals(labels[:rows], probabilities[:rows], confidence=confidence)["macro_f1"]
        return found.high - found.low

    assert width(800, 0.8) < width(800, 0.95) < width(100, 0.95)


def test_twelve_thousand_rows_and_a_thousand_samples_take_under_three_seconds():
    labels, probabilities = drawn(12_000)
    began = time.process_time()
    intervals(labels, probabilities, metrics=("macro_f1", "accuracy"))
    assert time.process_time() - began < 3


def test_many_classes_and_rows_are_resampled_in_parts_of_bounded_size(monkeypatch):
    labels, probabilities = drawn(300)
    whole = intervals(labels, probabilities, samples=500)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 700)
    parts = intervals(labels, probabilities, samples=500)
    assert parts["log_loss"] == whole["log_loss"]
    assert parts["macro_f1"].low == pytest.approx(whole["macro_f1"].low, abs=0.03)
    assert list(bootstrap._sizes(500, 300))[:2] == [2, 2]
    assert sum(bootstrap._sizes(500, 300)) == 500


def test_a_model_differs_from_itself_by_nothing():
    labels, probabilities = drawn(300)
    found = differences(labels, probabilities, probabilities)
    assert {(each.low, each.value, each.high) for each in found.values()} == {(0, 0, 0)}


def test_a_difference_is_the_difference_of_the_scores_whichever_way_round():
    labels, strong = drawn(400, 2.5)
    weak = answers(labels, 0.5, seed=7)
    ahead, behind = differences(labels, strong, weak), differences(labels, weak, strong)
    left, right = score(labels, strong), score(labels, weak)
    for name in METRICS:
        assert ahead[name].value == pytest.approx(left[name] - right[name]), name
        assert behind[name].value == -ahead[name].value
    assert ahead["macro_f1"].low > 0
    assert ahead["log_loss"].high < 0


def test_models_that_err_on_the_same_rows_are_told_apart_by_pairing():
    labels, probabilities = drawn(600)
    better = probabilities.copy()
    better[:12] = np.eye(3)[labels[:12]]
    alone = intervals(labels, better)["accuracy"]
    paired = differences(labels, better, probabilities)["accuracy"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_only_the_metrics_asked_for_come_back():
    labels, probabilities = drawn(100)
    assert list(intervals(labels, probabilities, metrics=("mcc", "brier"))) == ["mcc", "brier"]
    asked = differences(labels, probabilities, probabilities, metrics=CONFUSION_METRICS)
    assert tuple(asked) == CONFUSION_METRICS


@settings(deadline=None)
@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_has_the_wilson_interval_of_scipy(drawn_share):
    hits, rows = drawn_share
    expected = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits, rows) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_of_no_rows_may_be_anything():
    assert wilson(0, 0) == (0.0, 1.0)
