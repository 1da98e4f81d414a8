"""Every architecture's model file passes the door, and answers alike on both sides of it."""

import ast
import functools
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from model_registry.errors import BundleRefused
from model_registry.model_file import ALLOWED, OWN, inspect
from tasks.architectures import ARCHITECTURES
from tasks.config import Preprocessing
from tasks.inference import golden
from tasks.inference.classifier import SequenceClassifier
from tasks.sequences.preprocessor import fit_preprocessor
from tests.frames import tickets, waves

pytestmark = pytest.mark.filterwarnings(  # Keras, whenever it saves TensorFlow's variables
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

CLASSES = ("billing", "delivery", "login")
FRAMES = {"text": tickets(30), "numeric": waves(30)}


@functools.cache
def classifier(name, kind):
    """An untrained classifier; what it answers is arbitrary, and must stay what it is."""
    keras.utils.set_random_seed(3)
    preprocessor = fit_preprocessor(kind, Preprocessing(), FRAMES[kind])
    model = ARCHITECTURES[name](preprocessor.spec, len(CLASSES))
    return SequenceClassifier(preprocessor, model, CLASSES)


@pytest.fixture(params=["text", "numeric"])
def kind(request):
    return request.param


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_goes_through_the_door_and_answers_as_before(tmp_path, name, kind):
    given, frame = classifier(name, kind), FRAMES[kind]
    key = tmp_path / "key"
    manifest = given.save(tmp_path / "bundle", pipeline={}, golden=frame, key=key)
    again = SequenceClassifier.load(
        tmp_path / "bundle", expected_digest=manifest.digest, public_key=key.with_suffix(".pub")
    )
    assert again.classes == CLASSES
    assert np.abs(again.predict_proba(frame) - given.predict_proba(frame)).max() <= 1e-6
    assert golden.difference(again, tmp_path / "bundle") <= golden.TOLERANCE


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_answer_depends_on_nothing_but_its_row(name, kind):
    given, frame = classifier(name, kind), FRAMES[kind]
    together = given.predict_proba(frame)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = given.predict_proba(frame.iloc[order])
    assert np.abs(shuffled - together[order]).max() <= 1e-5
    alone = given.predict_proba(frame.iloc[[7]])
    assert np.abs(alone[0] - together[7]).max() <= 1e-5


def test_predictions_name_the_likeliest_class_and_keep_the_index(kind):
    given, frame = classifier("averaged_embeddings", kind), FRAMES[kind].iloc[10:20]
    found = given.predict(frame)
    assert found.columns.tolist() == ["label", *(f"probability_{name}" for name in CLASSES)]
    assert found.index.equals(frame.index)
    likeliest = found.filter(like="probability_").to_numpy().argmax(axis=1)
    assert found["label"].tolist() == [CLASSES[at] for at in likeliest]


def test_no_rows_have_no_answers(kind):
    none = FRAMES[kind].head(0)
    assert classifier("averaged_embeddings", kind).predict_proba(none).shape == (0, 3)


def test_a_row_without_input_is_answered_in_finite_numbers():
    row = pd.DataFrame({"text": pd.Series([None, "", "??"], dtype="str")})
    answers = classifier("averaged_embeddings", "text").predict_proba(row)
    assert np.isfinite(answers).all()


@pytest.mark.parametrize("module", OWN)
def test_the_door_knows_every_layer_of_our_own(module):
    source = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    registered = {
        node.name
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.ClassDef) and node.decorator_list
    }
    assert registered == ALLOWED[module]


def _lambda():
    return keras.layers.Lambda(lambda x: x * 2)


@keras.saving.register_keras_serializable("evil")
class Foreign(keras.layers.Layer):
    """A layer that somebody else registered."""

    def call(self, inputs):
        return inputs


HOSTILE = {"a real Lambda layer": _lambda, "somebody's own layer": Foreign}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_real_model_with_any_other_layer_is_refused(tmp_path, name):
    given = keras.Input((4,))
    model = keras.Model(given, keras.layers.Dense(2)(HOSTILE[name]()(given)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(BundleRefused, match="refused: class: "):
        inspect(tmp_path / "model.keras")
