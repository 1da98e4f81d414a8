"""Several models as one that answers with their mean, in which what is equal is there once.

Fold models have much in common: vectors learnt before, members of text that were solved again
for all rows, the random kernels of series of one channel, the mask. A layer whose class, options,
weights and inputs are those of another says what that says (common subexpression elimination, on
layers), so it is neither kept nor asked again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

Tensor = Any


def merged(models: Sequence[keras.Model], name: str) -> keras.Model:
    """The mean of the models' answers, as one graph without models inside.

    Args:
        models: Trained, of inputs of one shape and kind; two at least. They stay as they are.
        name: Of the new model.

    Returns:
        From their input to what they answer on average. Its weights are copies.
    """
    first = models[0].input
    inputs = keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)
    once = _Once()
    answers = [once.asked(model, inputs) for model in models]
    return keras.Model(inputs, once.said(keras.layers.Average(name="mean"), answers), name=name)


class _Once:
    """Layers copied one by one into a graph, none of them twice."""

    def __init__(self) -> None:
        self._answers: dict[Any, Tensor] = {}
        self._named = Counter[str]()

    def asked(self, model: keras.Model, inputs: Tensor) -> Tensor:
        """What a model says of some inputs, by copies of its layers."""
        copied = keras.models.clone_model(
            model,
            input_tensors=inputs,
            clone_function=lambda layer: layer,
            call_function=self.said,
        )
        return copied.output

    def said(self, layer: Any, *args: Any, **kwargs: Any) -> Tensor:
        """What a layer says, by a copy of it, or what its like said before."""
        if isinstance(layer, keras.Model):
            return self.asked(layer, args[0])
        key = (_told(layer), _told_apart(args), _told_apart(kwargs))
        if key not in self._answers:
            copy = type(layer).from_config({**layer.get_config(), "name": self._name(layer)})
            self._answers[key] = copy(*args, **kwargs)
            copy.set_weights(layer.get_weights())
        return self._answers[key]

    def _name(self, layer: Any) -> str:
        self._named[layer.name] += 1
        return f"{layer.name}_{self._named[layer.name]}"


def _told(layer: Any) -> tuple[Any, ...]:
    """Equal for layers that say the same of the same inputs."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    weights = [hashlib.sha256(each.tobytes()).digest() for each in layer.get_weights()]
    return (type(layer), repr(config), *weights)


def _told_apart(inputs: Any) -> tuple[Any, ...]:
    """Equal for the same tensors of the graph in the same places."""
    flat = keras.tree.flatten(inputs)
    return tuple(id(each) if keras.backend.is_keras_tensor(each) else repr(each) for each in flat)
