"""Several models as one: it answers their mean, and what they have in common it has once."""

import keras
import numpy as np
import pytest

from serving.compiling import sample
from tasks.architectures import ARCHITECTURES, blocks, saved
from tasks.architectures.merged import merged
from tasks.ragged import InputSpec

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SPECS = {"text": InputSpec("text", 30, 3, vectors=6), "series": InputSpec("numeric", 3)}
SOLVED = {
    "text": ("terms", "scores"),
    "series": ("kernels", "shares", "rivals", "won", "solved"),
}  # begin so


@pytest.fixture(params=SPECS)
def kind(request):
    return request.param


def blends(kind, count):
    """Models that have no weight in common."""
    models = [ARCHITECTURES["blend"](SPECS[kind], 3) for _ in range(count)]
    random = np.random.default_rng(1)
    for model in models:
        model.set_weights([random.uniform(0.02, 0.08, each.shape) for each in model.get_weights()])
    return models


def said(model, kind):
    return keras.ops.convert_to_numpy(model(sample(SPECS[kind], 6, 9), training=False))


def inside(model):
    """The layers of a model and of the models in it, by name."""
    named = {}
    for layer in model.layers:
        named |= inside(layer) if isinstance(layer, keras.Model) else {layer.name: layer}
    return named


def test_it_answers_their_mean_and_so_does_its_file(kind, tmp_path):
    models = [blocks.tempered(each, 0.8) for each in blends(kind, 2)]
    before = [said(each, kind) for each in models]
    one = merged(models, name="one")
    np.testing.assert_allclose(said(one, kind), np.mean(before, axis=0), atol=1e-6)
    one.save(tmp_path / "one.keras")
    again = saved.load(tmp_path / "one.keras")
    np.testing.assert_allclose(said(again, kind), np.mean(before, axis=0), atol=1e-6)
    for model, answers in zip(models, before, strict=True):
        np.testing.assert_array_equal(said(model, kind), answers)


def test_a_model_and_itself_are_no_more_than_it_alone(kind):
    (model,) = blends(kind, 1)
    one = merged([model, model], name="one")
    assert one.count_params() == model.count_params()
    np.testing.assert_allclose(said(one, kind), said(model, kind), atol=1e-6)


def test_members_solved_for_the_same_rows_are_there_once(kind):
    models = blends(kind, 2)
    first, second = (inside(each) for each in models)
    common = [name for name in first if name.startswith(SOLVED[kind])]
    for name in common:
        second[name].set_weights(first[name].get_weights())
    one = merged(models, name="one")
    once = sum(first[name].count_params() for name in common)
    assert once
    assert one.count_params() == sum(each.count_params() for each in models) - once
    mean = (said(models[0], kind) + said(models[1], kind)) / 2
    np.testing.assert_allclose(said(one, kind), mean, atol=1e-6)


def test_what_differs_in_one_weight_is_there_twice(kind):
    (model,) = blends(kind, 1)
    models = [model, keras.models.clone_model(model)]
    models[1].set_weights(model.get_weights())
    last = inside(models[1])[SOLVED[kind][-1]]
    first, *rest = last.get_weights()
    last.set_weights([first + 0.1 * (first == first.max()), *rest])
    one = merged(models, name="one")
    assert one.count_params() == models[0].count_params() + last.count_params()
    mean = (said(models[0], kind) + said(models[1], kind)) / 2
    np.testing.assert_allclose(said(one, kind), mean, atol=1e-6)
    assert np.abs(said(one, kind) - said(models[0], kind)).max() > 1e-4


def test_what_was_merged_can_be_merged_again(kind):
    models = blends(kind, 4)
    halves = [merged(models[:2], name="one"), merged(models[2:], name="other")]
    whole = merged([*halves, halves[0]], name="whole")
    assert whole.count_params() == sum(each.count_params() for each in models)
    weights = (1 / 3, 1 / 3, 1 / 6, 1 / 6)
    mean = sum(w * said(each, kind) for w, each in zip(weights, models, strict=True))
    np.testing.assert_allclose(said(whole, kind), mean, atol=1e-6)
