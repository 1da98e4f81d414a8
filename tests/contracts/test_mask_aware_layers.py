"""Each pooling against what NumPy says of the unpadded row."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tasks.architectures import blocks
from tasks.architectures import layers as own
from tasks.config import ConfigError
from tasks.evaluation.calibration import scaled

FEATURES = 3


def padded(lengths, extra, seed):
    """Numbers everywhere, the padding too, and the mask."""
    steps = np.random.default_rng(seed).normal(size=(len(lengths), max(lengths) + extra, FEATURES))
    mask = np.arange(steps.shape[1]) < np.array(lengths)[:, None]
    return steps.astype(np.float32), mask


def softmax(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def attention(layer, row):
    projection, bias, query = (keras.ops.convert_to_numpy(w) for w in layer.weights)
    return softmax(np.tanh(row @ projection + bias) @ query[:, 0]) @ row


EXPECTED = {
    own.MaskedMean: lambda layer, row: row.mean(axis=0),
    own.MaskedMax: lambda layer, row: row.max(axis=0),
    own.LastStep: lambda layer, row: row[-1],
    own.AttentionPooling: attention,
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=20)
@given(
    lengths=some.lists(some.integers(0, 9), min_size=1, max_size=6),
    extra=some.integers(1, 5),
    seed=some.integers(0, 99),
)
def test_pooling_sees_the_real_steps_and_nothing_else(kind, lengths, extra, seed):
    steps, mask = padded(lengths, extra, seed)
    layer = kind()
    found = keras.ops.convert_to_numpy(layer(steps, mask))
    for row, length in enumerate(lengths):
        real = steps[row, :length]
        expected = EXPECTED[kind](layer, real) if length else np.zeros(FEATURES)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_presence_reads_token_ids_and_the_last_channel():
    tokens = np.array([[4, 1, 0, 0]], np.int32)
    series = np.array([[[0.0, 1.0], [9.0, 0.0]]], np.float32)
    assert keras.ops.convert_to_numpy(own.Presence()(tokens)).tolist() == [
        [True, True, False, False]
    ]
    assert keras.ops.convert_to_numpy(own.Presence()(series)).tolist() == [[True, False]]


def test_presence_reads_the_own_id_of_a_token_with_pieces():
    tokens = np.array([[[4, 7, 0], [1, 0, 0], [0, 0, 0]]], np.int32)
    assert keras.ops.convert_to_numpy(own.Presence()(tokens)).tolist() == [[True, True, False]]


def test_a_token_is_its_own_vector_and_the_mean_of_the_pieces_it_has():
    ids = np.array([[[2, 5, 6], [2, 5, 0], [2, 0, 0], [0, 0, 0]]], np.int32)
    vectors = np.random.default_rng(0).normal(size=(1, 4, 3, FEATURES)).astype(np.float32)
    found = keras.ops.convert_to_numpy(own.SumOfPieces()(vectors, ids))[0]
    one, two, three, _ = vectors[0]
    np.testing.assert_allclose(found[0], one[0] + one[1:].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found[1], two[0] + two[1], atol=1e-6)
    np.testing.assert_allclose(found[2], three[0], atol=1e-6)
    assert not found[3].any()


def test_a_pair_knows_both_tokens_and_their_order_and_needs_a_real_second_one():
    layer = own.Pairs(1000)
    rows = np.array([[3, 4, 0], [4, 3, 0], [3, 5, 4]], np.int32)
    found = keras.ops.convert_to_numpy(layer(rows))
    assert found[:, 2].tolist() == [0, 0, 0]
    assert found[0, 1] == found[1, 1] == 0
    firsts = found[:, 0].tolist()
    assert len({*firsts, int(found[2, 1])}) == 4
    assert all(1 <= pair < 1000 for pair in firsts)


def test_pairs_of_the_greatest_ids_stay_within_the_buckets():
    rows = np.array([[2**31 - 1, 2**31 - 1, 65535, 65535]], np.int32)
    found = keras.ops.convert_to_numpy(own.Pairs(77)(rows))[0]
    assert all(1 <= pair < 77 for pair in found[:3])


def test_a_position_is_marked_the_same_however_much_padding_follows():
    layer = own.Positions()
    short, long = (
        keras.ops.convert_to_numpy(layer(np.zeros((1, n, 6), np.float32))) for n in (4, 9)
    )
    np.testing.assert_allclose(short, long[:, :4], atol=1e-6)
    assert len({tuple(step) for step in long[0].round(5).tolist()}) == 9


def test_another_temperature_is_the_one_of_calibration_and_survives_a_sure_zero():
    answers = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]], np.float32)
    for temperature in (0.5, 1.0, 3.0):
        found = keras.ops.convert_to_numpy(own.Tempered(temperature)(answers))
        np.testing.assert_allclose(found, scaled(answers, temperature), atol=1e-6)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(own.Tempered(1.0)(answers)), answers, atol=1e-6
    )


def test_another_pooling_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        blocks.pooled(None, "meen")
