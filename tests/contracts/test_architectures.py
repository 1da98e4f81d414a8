"""Every architecture, for text and for numbers, under the same checks; being in the table is it."""

import functools
import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest

from model_registry.errors import BundleRefused
from tasks.architectures import ARCHITECTURES
from tests.contracts.architecture_checks import (
    CLASSES,
    NO_DROPOUT,
    SPECS,
    TINY,
    answers,
    check_configuration,
    check_learning,
    check_padding_batch_and_order,
    check_probabilities,
    rows,
)

# Keras 3.15 reads its TensorFlow variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CASES = [(name, kind) for name in ARCHITECTURES for kind in SPECS]
each = pytest.mark.parametrize(("name", "kind"), CASES)

RELOAD = """
import pathlib, sys
import keras, numpy
import tasks.architectures.saved
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    model = keras.saving.load_model(path, safe_mode=True, compile=False)
    found = model(numpy.load(path.with_suffix(".input.npy")), training=False)
    numpy.save(path.with_suffix(".again.npy"), keras.ops.convert_to_numpy(found))
"""


def build(name, kind, **options):
    builder = ARCHITECTURES[name]
    known = inspect.signature(builder).parameters
    options = {key: value for key, value in {**TINY, **options}.items() if key in known}
    keras.utils.set_random_seed(7)
    return builder(SPECS[kind], CLASSES, **options)


@functools.cache
def model_of(name, kind):
    return build(name, kind)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every model saved, and its answers after a fresh process loaded it."""
    folder = tmp_path_factory.mktemp("models")
    for name, kind in CASES:
        model_of(name, kind).save(folder / f"{name}-{kind}.keras")
        np.save(folder / f"{name}-{kind}.input.npy", rows(kind).padded())
    subprocess.run([sys.executable, "-c", RELOAD, folder], check=True, capture_output=True)
    return folder


@each
def test_answers_are_probabilities_for_every_length_even_none(name, kind):
    check_probabilities(model_of(name, kind), rows(kind))


@each
def test_padding_batch_size_and_order_never_change_an_answer(name, kind):
    check_padding_batch_and_order(model_of(name, kind), rows(kind))


@each
def test_one_step_lowers_the_loss_and_reaches_every_weight(name, kind):
    check_learning(build(name, kind, **NO_DROPOUT), rows(kind))


@each
def test_a_fresh_process_loads_it_safely_and_answers_the_same(name, kind, saved):
    again = np.load(saved / f"{name}-{kind}.again.npy")
    np.testing.assert_allclose(again, answers(model_of(name, kind), rows(kind).padded()), atol=1e-6)


@each
def test_its_file_names_only_layers_that_a_bundle_may_hold(name, kind, saved):
    check_configuration(saved / f"{name}-{kind}.keras")


def deaf_to_the_mask(kind):
    """A model that averages over the padding too."""
    given = keras.Input((None, SPECS[kind].size), dtype="float32")
    hidden = keras.layers.Dense(4, activation="tanh")(given)
    pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(given, keras.layers.Dense(CLASSES, activation="softmax")(pooled))


def test_the_contract_catches_a_model_that_reads_the_padding():
    with pytest.raises(AssertionError):
        check_padding_batch_and_order(deaf_to_the_mask("numeric"), rows("numeric"))


def test_the_contract_catches_answers_that_are_no_probabilities():
    given = keras.Input((None, 4), dtype="float32")
    pooled = keras.layers.GlobalMaxPooling1D()(given)
    model = keras.Model(given, keras.layers.Dense(CLASSES)(pooled))
    with pytest.raises(AssertionError):
        check_probabilities(model, rows("numeric"))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_the_contract_catches_a_weight_that_no_gradient_reaches():
    model = deaf_to_the_mask("numeric")
    unused = keras.layers.Dense(2, name="unused")(model.input)
    silent = keras.layers.Rescaling(0.0)(keras.layers.GlobalMaxPooling1D()(unused))
    joined = keras.layers.Concatenate()([model.output, silent])
    broken = keras.Model(model.input, keras.layers.Dense(CLASSES, activation="softmax")(joined))
    with pytest.raises(AssertionError, match="unused"):
        check_learning(broken, rows("numeric"))


def test_the_contract_catches_a_layer_that_a_bundle_may_not_hold(tmp_path):
    given = keras.Input((None, 4), dtype="float32")
    keras.Model(given, keras.layers.Lambda(lambda x: x + 1)(given)).save(tmp_path / "model.keras")
    with pytest.raises(BundleRefused, match="Lambda"):
        check_configuration(tmp_path / "model.keras")
