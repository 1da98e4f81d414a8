"""Every architecture has an ONNX graph that answers as Keras does, whatever the shape."""

import warnings

import pytest

from serving.compiling import difference, sample
from serving.engine import onnx_forward
from tasks.architectures import ARCHITECTURES
from tasks.ragged import InputSpec

SPECS = {
    "text": InputSpec("text", 30),
    "n-grams": InputSpec("text", 30, 3),
    "series": InputSpec("numeric", 3),
}
SHAPES = [(1, 4), (3, 12), (17, 8), (2, 40)]
TOLERANCE = 1e-5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_texts_are_answered_alike(name, tmp_path):
    answered_alike(name, SPECS["text"], tmp_path / "model.onnx", fused=True)


@pytest.mark.slow
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_input_is_answered_alike(name, kind, fused, tmp_path):
    answered_alike(name, SPECS[kind], tmp_path / "model.onnx", fused=fused)


def answered_alike(name, spec, path, *, fused):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras and tf2onnx about NumPy
        from serving import graphs

        model = ARCHITECTURES[name](spec, 3)
        batches = [sample(spec, *shape) for shape in SHAPES]
        batches.append(batches[0] * 0)  # a row without a step
        expected = [model.predict_on_batch(batch) for batch in batches]
        graphs.export(model, path, fused=fused)
    assert difference(onnx_forward(path), batches, expected) <= TOLERANCE
    if fused and "lstm" in name:
        assert b"LSTM" in path.read_bytes()
