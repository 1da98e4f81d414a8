"""What a linear model says of a row's terms; needs Keras alone, registered by name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


@register
class TermScores(keras.layers.Layer):  # type: ignore[misc]
    """A linear model's score of each class from a row's words and from their pieces.

    The last feature of a term is its squared weight in the row's length, so that long rows and
    short ones have scores alike in size. Words with their pairs are one length and pieces another:
    the pieces of a word are many, and would leave the word itself next to no weight.

    Call arguments:
        inputs: `(batch, time, classes + 1)`, one vector a token, or
            `(batch, time, width, classes + 1)`, the token's own first, then its pieces'; zeros
            where there is none.
        pairs: `(batch, time, classes + 1)`, one a pair of neighbours.

    Returns:
        `(batch, classes)`, before the softmax.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, inputs_shape: tuple[Any, ...], pairs_shape: Any = None) -> None:
        """Make the classes' own scores."""
        del pairs_shape
        self.bias = self.add_weight(
            shape=(inputs_shape[-1] - 1,), initializer="zeros", name="bias", trainable=False
        )

    def call(self, inputs: Tensor, pairs: Tensor) -> Tensor:
        """See the class."""
        if len(inputs.shape) == 3:
            return _scores(ops.sum(inputs + pairs, axis=1)) + self.bias
        words = ops.sum(inputs[:, :, 0] + pairs, axis=1)
        pieces = ops.sum(ops.sum(inputs[:, :, 1:], axis=2), axis=1)
        return _scores(words) + _scores(pieces) + self.bias

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""

    def compute_output_spec(self, inputs: Tensor, pairs: Tensor) -> Tensor:
        """A number for each class."""
        del pairs
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] - 1), inputs.dtype)


def _scores(terms: Tensor) -> Tensor:
    """`(batch, classes + 1)` to `(batch, classes)`: over the length of all terms together."""
    return terms[:, :-1] / ops.sqrt(ops.maximum(terms[:, -1:], 1e-6))
