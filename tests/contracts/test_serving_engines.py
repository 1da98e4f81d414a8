"""Every architecture has an ONNX graph that answers as Keras does, whatever the shape."""

import warnings

import pytest

from serving.compiling import difference, sample, without_erfc
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
    answered_alike(name, SPECS["text"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["n-grams", "series"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_inputs_are_answered_alike(name, kind, tmp_path):
    answered_alike(name, SPECS[kind], tmp_path)


def answered_alike(name, spec, folder):
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras and tf2onnx about NumPy
        model = ARCHITECTURES[name](spec, 3)
        batches = [sample(spec, *shape) for shape in SHAPES]
        expected = [model.predict_on_batch(batch) for batch in batches]
        model.export(str(path), format="onnx", verbose=False)
    without_erfc(path)
    assert difference(onnx_forward(path), batches, expected) <= TOLERANCE
