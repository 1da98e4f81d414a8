"""Long rows in fewer steps: the same duties, and what a window is."""

import keras
import numpy as np
import pytest

from tasks.architectures import ARCHITECTURES, saved, strides
from tests.contracts.architecture_checks import (
    NO_DROPOUT,
    answers,
    check_configuration,
    check_learning,
    check_padding_batch_and_order,
    check_probabilities,
    rows,
)
from tests.contracts.test_architectures import build
from tests.contracts.test_serving_engines import SPECS, answered_alike

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*softmax over axis"),  # rows of one window alone
]


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("kind", ["pieces", "numeric"])
def test_padding_batch_size_and_order_never_change_an_answer(name, kind):
    model = build(name, kind, stride=3)
    check_probabilities(model, rows(kind))
    check_padding_batch_and_order(model, rows(kind))


@pytest.mark.parametrize("name", ["averaged_embeddings", "bidirectional_lstm"])
def test_the_first_layer_of_a_front_reads_every_step_and_the_others_windows(name):
    model = build(name, "numeric", front=8, stride=3)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    read = keras.Model(model.input, [layer.output for layer in convolutions])
    assert [found.shape[1] for found in read(rows("numeric").padded(10))] == [10, 4, 4]


@pytest.mark.parametrize("kind", ["text", "numeric"])
def test_a_strided_blend_learns_and_is_saved(kind, tmp_path):
    model = build("blend", kind, stride=3, **NO_DROPOUT)
    check_learning(model, rows(kind))
    model.save(tmp_path / "model.keras")
    check_configuration(tmp_path / "model.keras")
    again = saved.load(tmp_path / "model.keras")
    batch = rows(kind).padded()
    np.testing.assert_allclose(answers(again, batch), answers(model, batch), atol=1e-6)


@pytest.mark.parametrize("kind", ["n-grams", "series"])
def test_a_strided_blend_has_a_graph(kind, tmp_path):
    answered_alike("blend", SPECS[kind], tmp_path / "model.onnx", fused=True, stride=3)


def test_a_window_is_the_mean_of_its_real_steps():
    steps = np.arange(7, dtype=np.float32).reshape(1, 7, 1)
    mask = np.array([[True] * 5 + [False] * 2])
    found = keras.ops.convert_to_numpy(strides.StepMeans(3)(steps, mask))
    np.testing.assert_allclose(found[0, :, 0], [1.0, 3.5, 0.0])
    there = keras.ops.convert_to_numpy(strides.WindowsPresent(3)(mask))
    assert there.tolist() == [[True, True, False]]
