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
    "vectors": InputSpec("text", 30, 3, vectors=6),
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


def test_an_ensemble_of_calibrated_fold_models_is_answered_alike(tmp_path):
    answered_alike("blend", SPECS["vectors"], tmp_path / "model.onnx", fused=True, folds=2)


def answered_alike(name, spec, path, *, fused, folds=0, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras and tf2onnx about NumPy
        from serving import graphs
        from tasks.architectures import blocks
        from tasks.architectures.merged import merged

        model = ARCHITECTURES[name](spec, 3, **options)
        if folds:
            others = [ARCHITECTURES[name](spec, 3) for _ in range(folds - 1)]
            calibrated = [blocks.tempered(each, 0.8) for each in (model, *others)]
            model = merged(calibrated, name="folds")
            reader = blocks.tempered(ARCHITECTURES["lstm_attention"](spec, 3), 1.3)
            model = blocks.tempered(merged([model, reader], name="ensemble"), 0.9)
        batches = [sample(spec, *shape) for shape in SHAPES]
        batches.append(batches[0] * 0)  # a row without a step
        expected = [model.predict_on_batch(batch) for batch in batches]
        graphs.export(model, path, fused=fused)
    assert difference(onnx_forward(path), batches, expected) <= TOLERANCE
    if fused and ("lstm" in name or folds):
        assert b"LSTM" in path.read_bytes()
