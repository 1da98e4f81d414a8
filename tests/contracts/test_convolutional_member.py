"""The member of random convolutions against NumPy, step by step."""

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from tasks.architectures import ARCHITECTURES, blocks
from tasks.architectures.shares import SharesAbove
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.training import convolutions
from tasks.training.one_vs_rest import Setting
from tasks.training.vectors import layers_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SPEC = InputSpec("numeric", 4)


def wave_rows(count, seed=0):
    """Two channels of noise; in the third the class is how fast a wave goes. Lengths differ."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count).astype(np.int32)
    rows = []
    for label in labels:
        steps = int(generator.integers(20, 40))
        row = generator.normal(size=(steps, 4)).astype(np.float32)
        row[:, 2] += 2 * np.sin(np.arange(steps) * (0.4, 0.9, 1.6)[label] + generator.uniform(0, 6))
        row[:, 3] = 1
        rows.append(row)
    return Examples(Ragged.of(rows), labels, np.array([f"r{n}" for n in range(count)]))


def solved(train, validation, weights=None, seed=1):
    model = blocks.convolved_at_random(SPEC, 3)
    convolutions.solve(model, train, validation, weights, seed=seed)
    return model


def answers(model, examples):
    return keras.ops.convert_to_numpy(model(examples.inputs.padded(), training=False))


@pytest.fixture(scope="module")
def model():
    return solved(wave_rows(150), wave_rows(60, seed=1))


def test_it_tells_waves_apart_whatever_their_phase_and_length(model):
    other = wave_rows(150, seed=2)
    assert (answers(model, other).argmax(axis=1) == other.labels).mean() > 0.9


@pytest.mark.parametrize("left_out", [0, 2])
def test_two_classes_are_enough_and_one_without_a_row_is_as_good_as_impossible(left_out):
    train, other = (
        rows.take(np.flatnonzero(rows.labels != left_out))
        for rows in (wave_rows(150), wave_rows(150, seed=2))
    )
    found = answers(solved(train, train), other)
    assert (found.argmax(axis=1) == other.labels).mean() > 0.9
    assert found[:, left_out].max() < 1e-6


def test_a_share_is_the_part_of_the_real_steps_above_the_level(model):
    other = wave_rows(8, seed=3)
    layers = {layer.name: layer for layer in layers_of(model)}
    kernels, shares = layers["kernels_2"], layers["shares_2"]
    level, steepness = shares.get_weights()
    found = keras.Model(model.input, shares.output).predict_on_batch(other.inputs.padded())
    for number, row in enumerate(np.split(other.inputs.values, other.inputs.offsets[1:-1])):
        around = np.pad(row, ((8, 8), (0, 0)))
        taps = np.stack([around[first : first + len(row)] for first in range(0, 17, 2)])
        said = np.einsum("tsc,tck->sk", taps, kernels.get_weights()[0])
        band = np.clip((said[None] - level[:, None]) * steepness + 0.5, 0, 1)
        np.testing.assert_allclose(found[number], band.mean(axis=1).ravel(), atol=2e-3)
        hard = (said[None] > level[:, None]).mean(axis=1).ravel()
        assert np.abs(found[number] - hard).mean() < 0.01


def test_kernels_sum_to_nothing_on_a_flat_series_and_never_read_presence(model):
    for layer in layers_of(model):
        if layer.name.startswith("kernels_"):
            (weights,) = layer.get_weights()
            assert set(np.unique(weights)) == {-1, 0, 2}
            np.testing.assert_array_equal(weights.sum(axis=0), 0)
            np.testing.assert_array_equal(weights[:, -1], 0)
            assert np.abs(weights).sum(axis=(0, 1)).min() == 12


def test_levels_lie_evenly_over_what_the_train_rows_answer():
    train = wave_rows(150)
    model = solved(train, wave_rows(60, seed=1))
    layers = {layer.name: layer for layer in layers_of(model)}
    said = layers["kernels_1"](train.inputs.padded())
    real = keras.ops.convert_to_numpy(said)[train.inputs.mask(said.shape[1])]
    below = (real[None] <= layers["shares_1"].get_weights()[0][:, None]).mean(axis=1)
    counts = np.histogram(below, bins=8, range=(0, 1))[0]
    assert counts.min() > 0.8 * counts.mean()


def test_the_same_seed_draws_the_same_kernels_and_another_draws_others():
    train, other = wave_rows(60), wave_rows(30, seed=1)
    one, again, another = (answers(solved(train, other, seed=s), other) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - another).max() > 1e-3


def test_weights_move_it_towards_the_rows_that_weigh_more():
    train, other = wave_rows(60), wave_rows(60, seed=1)
    weights = np.where(train.labels == 0, 9.0, 1.0).astype(np.float32)
    plain, weighed = solved(train, other), solved(train, other, weights)
    assert answers(weighed, other)[:, 0].mean() > answers(plain, other)[:, 0].mean()


def test_more_rows_than_are_solved_for_are_drawn_from(monkeypatch):
    monkeypatch.setattr(convolutions, "MOST_ROWS", 50)
    train, other = wave_rows(120), wave_rows(60, seed=1)
    weights = np.ones(120, np.float32)
    found = answers(solved(train, other, weights), other)
    assert (found.argmax(axis=1) == other.labels).mean() > 0.6


def test_a_series_shorter_than_a_kernel_and_one_without_steps_have_finite_answers(model):
    rows = [np.ones((length, 4), np.float32) for length in (0, 1, 3)]
    found = model.predict_on_batch(Ragged.of(rows).padded(3))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_blend_of_text_is_left_alone():
    keras.utils.set_random_seed(1)
    model = ARCHITECTURES["blend"](InputSpec("text", 12), 3, units=8, embedding=8)
    before = model.get_weights()
    convolutions.solve(model, wave_rows(6), wave_rows(3), None, seed=1)
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def test_no_mask_travels_past_the_shares():
    assert SharesAbove(2).compute_mask(None) is None


def test_solved_again_it_answers_what_a_ridge_on_all_rows_does_and_keeps_its_kernels():
    rows, other = wave_rows(120), wave_rows(60, seed=2)
    models = [solved(wave_rows(40, seed=5), other, seed=seed) for seed in (1, 2)]
    kernels = [model.get_layer("kernels_2").get_weights()[0] for model in models]
    convolutions.solve_again(models, rows, None, Setting(0.1, 3.0), seed=1)
    assert not np.allclose(*kernels)
    for model, before in zip(models, kernels, strict=True):
        np.testing.assert_array_equal(model.get_layer("kernels_2").get_weights()[0], before)
        shares = keras.Model(model.input, model.get_layer("shares").output)
        known, told = (answers(shares, each) for each in (rows, other))
        scaler = StandardScaler().fit(known)
        scaler.scale_ = np.maximum(scaler.scale_, 1e-3)
        ridge = RidgeClassifier(10.0).fit(scaler.transform(known), rows.labels)
        expected = softmax(3.0 * ridge.decision_function(scaler.transform(told)), axis=1)
        np.testing.assert_allclose(answers(model, other), expected, atol=1e-3)
