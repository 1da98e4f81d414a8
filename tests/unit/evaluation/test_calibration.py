"""Reliability, calibration error and temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.calibration import (
    BINS,
    calibration_gaps,
    confidence_bins,
    reliability,
    scaled,
    temperature,
)
from tasks.evaluation.inputs import MetricError
from tasks.evaluation.metrics import score
from tests.measured_night import answers


def drawn(rows=2_000, strength=2.0, seed=0):
    labels = np.random.default_rng(seed).integers(0, 4, rows)
    return labels, answers(labels, strength, seed, classes=4).astype(float)


def test_the_calibration_error_of_two_bins_by_hand():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert reliability(labels, probabilities).error == pytest.approx(
        3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.6)
    )


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_bins_share_out_all_rows_and_the_error_is_a_share(rows, seed):
    labels, probabilities = drawn(rows, seed=seed)
    found = reliability(labels, probabilities)
    assert found.rows.sum() == rows
    assert 0 <= found.error <= 1
    gaps = calibration_gaps(labels, probabilities)
    assert abs(gaps.sum(axis=0)).sum() / rows == pytest.approx(found.error)


def test_a_bin_owns_its_upper_edge_and_certainty_is_in_the_last():
    edges = np.array([1e-9, 1 / BINS, 1 / BINS + 1e-9, 1.0])
    assert confidence_bins(edges).tolist() == [0, 0, 1, BINS - 1]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_of_a_distorted_model_is_found_again(sharpness):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 4)) * 2
    honest = scaled(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1.0)
    labels = (rng.uniform(size=(20_000, 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    distorted = scaled(honest, 1 / sharpness)
    assert temperature(labels, distorted) == pytest.approx(sharpness, rel=0.05)


def test_a_temperature_from_validation_rows_lowers_the_error_on_others():
    labels, probabilities = drawn(4_000)
    sharp = scaled(probabilities, 0.3)
    found = temperature(labels[:2_000], sharp[:2_000])
    before = score(labels[2_000:], sharp[2_000:])
    after = score(labels[2_000:], scaled(sharp[2_000:], found))
    assert found > 1.5
    assert after["ece"] < 0.5 * before["ece"]
    assert after["log_loss"] < before["log_loss"]


@settings(deadline=None)
@given(st.floats(0.05, 20), st.integers(0, 100))
def test_a_temperature_keeps_rows_summing_to_one_and_never_changes_an_answer(heat, seed):
    _, probabilities = drawn(50, seed=seed)
    changed = scaled(probabilities, heat)
    assert changed.sum(axis=1) == pytest.approx(np.ones(50))
    assert (changed.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_certain_answers_keep_the_temperature_finite():
    labels = np.array([0, 1, 1])
    found = temperature(labels, np.eye(2)[[0, 1, 0]])
    assert np.isfinite(found)
    assert np.isfinite(scaled(np.eye(2), found)).all()


def test_calibration_of_numbers_that_are_not_finite_is_refused():
    with pytest.raises(MetricError, match="finite"):
        reliability(np.array([0]), np.array([[np.nan, 1.0]]))
