"""The member of random convolutions against NumPy, step by step."""

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from tasks.architectures import ARCHITECTURES, blocks
from tasks.architectures.shares import SharesAbove, SharesWon
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


def test_what_a_kernel_wins_is_what_its_group_leaves_it_at_real_steps(model):
    other = wave_rows(8, seed=3)
    layers = {layer.name: layer for layer in layers_of(model)}
    rivals, won = layers["rivals_4"], layers["won_4"]
    (steepness,) = won.get_weights()
    found = keras.Model(model.input, won.output).predict_on_batch(other.inputs.padded())
    for number, row in enumerate(np.split(other.inputs.values, other.inputs.offsets[1:-1])):
        around = np.pad(row, ((16, 16), (0, 0)))
        taps = np.stack([around[first : first + len(row)] for first in range(0, 33, 4)])
        said = np.einsum("tsc,tck->sk", taps, rivals.get_weights()[0])
        groups = said.reshape(len(row), won.rivals, -1)
        scaled = groups * steepness
        parts = (scaled - scaled.max(axis=1, keepdims=True), scaled.min(axis=1, keepdims=True))
        above, below = np.maximum(1 + parts[0], 0), np.maximum(1 + parts[1] - scaled, 0)
        above, below = (each / each.sum(axis=1, keepdims=True) for each in (above, below))
        means = [each.mean(axis=0).ravel() for each in (above * groups, below)]
        expected = np.sqrt(np.maximum(np.concatenate(means), 0))
        np.testing.assert_allclose(found[number], expected, atol=2e-3)
        hard = (groups == groups.min(axis=1, keepdims=True)).mean(axis=0).ravel()
        assert np.abs(found[number, said.shape[1] :] ** 2 - hard).mean() < 0.01


def test_where_a_series_is_flat_rivals_share_alike_whatever_rounding_says(model):
    flat = np.full((1, 40, 4), 3.3, np.float32)
    said = keras.ops.convert_to_numpy(model.get_layer("rivals_1")(flat))[:, 4:-4]
    assert 0 < np.abs(said).max() < 1e-5
    found = SharesWon(8)(said, np.ones(said.shape[:2], bool))
    np.testing.assert_allclose(found[:, said.shape[2] :], np.sqrt(1 / 8), rtol=1e-3)
    np.testing.assert_allclose(found[:, : said.shape[2]], 0, atol=3e-3)


def test_rivals_weigh_each_channel_that_their_group_reads_alike_and_never_presence(model):
    for dilation in (1, 2, 4, 8):
        (weights,) = model.get_layer(f"rivals_{dilation}").get_weights()
        np.testing.assert_allclose(weights.sum(axis=0), 0, atol=1e-6)
        np.testing.assert_array_equal(weights[:, -1], 0)
        sizes = np.abs(weights).sum(axis=0)
        assert set(np.unique(sizes.round(5))) == {0, 1}
        reads = (sizes > 0).reshape(4, 8, -1)
        assert (reads == reads[:, :1]).all()
        assert reads.any(axis=0).all()


@pytest.mark.parametrize(
    ("steps", "widest"), [(0, 8), (15, 8), (127, 8), (128, 16), (427, 32), (5_000, 512)]
)
def test_long_rows_are_looked_at_in_wider_steps(steps, widest):
    model = blocks.convolved_at_random(InputSpec("numeric", 4, steps=steps), 3)
    kinds = {"kernels": [], "rivals": []}
    for layer in model.layers:
        kind, _, dilation = layer.name.partition("_")
        if kind in kinds:
            kinds[kind].append(int(dilation))
            assert layer.dilation_rate == (int(dilation),)
    assert kinds["kernels"] == kinds["rivals"] == [1 << n for n in range(widest.bit_length())]


def test_long_rows_are_answered_a_few_at_once_and_the_same(model, monkeypatch):
    rows = wave_rows(30, seed=4)
    together = convolutions._found(model, rows.inputs)
    monkeypatch.setattr(convolutions, "STEPS_A_BATCH", 100)
    apart = convolutions._found(model, rows.inputs)
    np.testing.assert_allclose(apart, together, atol=1e-4)


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
    train, other = wave_rows(120), wave_rows(60, seed=1)
    weights = np.ones(120, np.float32)
    features = blocks.convolved_at_random(SPEC, 3).get_layer("found").output.shape[-1]
    monkeypatch.setattr(convolutions, "MOST_VALUES", 50 * features)
    member = solved(train, other, weights)
    drawn, weighed = convolutions._drawn(train, weights, member, np.random.default_rng(1))
    assert len(drawn) == len(weighed) == len(set(drawn.row_ids)) == 50
    found = answers(member, other)
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
    assert SharesWon(2).compute_mask(None) is None


def test_solved_again_it_answers_what_a_ridge_on_all_rows_does_and_keeps_its_kernels():
    rows, other = wave_rows(120), wave_rows(60, seed=2)
    models = [solved(wave_rows(40, seed=5), other, seed=seed) for seed in (1, 2)]
    kernels = [model.get_layer("kernels_2").get_weights()[0] for model in models]
    convolutions.solve_again(models, rows, None, Setting(0.1, 3.0), seed=1)
    assert not np.allclose(*kernels)
    for model, before in zip(models, kernels, strict=True):
        np.testing.assert_array_equal(model.get_layer("kernels_2").get_weights()[0], before)
        shares = keras.Model(model.input, model.get_layer("found").output)
        known, told = (answers(shares, each) for each in (rows, other))
        scaler = StandardScaler().fit(known)
        scaler.scale_ = np.maximum(scaler.scale_, 1e-3)
        ridge = RidgeClassifier(10.0).fit(scaler.transform(known), rows.labels)
        expected = softmax(3.0 * ridge.decision_function(scaler.transform(told)), axis=1)
        np.testing.assert_allclose(answers(model, other), expected, atol=1e-3)
