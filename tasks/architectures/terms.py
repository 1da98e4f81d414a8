"""What a linear model says of a row's terms; needs Keras alone, registered by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


@register
class Counted(keras.layers.Layer):  # type: ignore[misc]
    """A row's ids in order, and how often the row has each.

    Tokens and pieces are ordered and counted apart.

    Call arguments:
        inputs: Ids `(batch, time)` int32; or `(batch, time, width)`, the token's own id first,
            then its pieces'. 0 is none.

    Returns:
        The ids, of the same shape, and float32 counts of that shape.
    """

    def call(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        ordered = _apart(lambda ids: ops.sort(ids, axis=1), inputs)
        return ordered, _apart(_counts, ordered)

    def compute_output_spec(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As the inputs, twice."""
        return tuple(keras.KerasTensor(inputs.shape, dtype) for dtype in (inputs.dtype, "float32"))


@register
class TermScores(keras.layers.Layer):  # type: ignore[misc]
    """A linear model's score of each class from a row's words and from their pieces.

    The last feature of a term is its squared weight in the row's length, so that long rows and
    short ones have scores alike in size. Words with their pairs are one length and pieces another:
    the pieces of a word are many, and would leave the word itself next to no weight. A word or a
    pair that comes c times counts 1 + log(c), a piece c times.

    Call arguments:
        inputs: `(batch, time, classes + 1)`, one vector a token, or
            `(batch, time, width, classes + 1)`, the token's own first, then its pieces'; zeros
            where there is none.
        pairs: `(batch, time, classes + 1)`, one a pair of neighbours.
        counts: `(batch, time)` or `(batch, time, width)`, how often the row has each of `inputs`;
            models of earlier versions have none, and count every occurrence alike.
        counts_of_pairs: `(batch, time)`, the same of `pairs`.

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

    def call(
        self,
        inputs: Tensor,
        pairs: Tensor,
        counts: Tensor | None = None,
        counts_of_pairs: Tensor | None = None,
    ) -> Tensor:
        """See the class."""
        own, beside = _times(counts, inputs), _times(counts_of_pairs, pairs)
        if len(inputs.shape) == 3:
            return _scores(_damped(inputs, own) + _damped(pairs, beside)) + self.bias
        words = _damped(inputs[:, :, 0], own[:, :, 0]) + _damped(pairs, beside)
        batch, time, width, features = ops.shape(inputs)
        vectors = ops.reshape(inputs[:, :, 1:], (batch, time * (width - 1), features))
        often = ops.reshape(own[:, :, 1:], (batch, time * (width - 1)))
        return _scores(words) + _scores(_total(vectors, often, often)) + self.bias

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""

    def compute_output_spec(
        self,
        inputs: Tensor,
        pairs: Tensor,
        counts: Tensor | None = None,
        counts_of_pairs: Tensor | None = None,
    ) -> Tensor:
        """A number for each class."""
        del pairs, counts, counts_of_pairs
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] - 1), inputs.dtype)


def _apart(change: Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    """What becomes of the tokens' ids of each row, and apart from them of their pieces'."""
    if len(ids.shape) == 2:
        return change(ids)
    batch, time, width = ops.shape(ids)
    pieces = change(ops.reshape(ids[:, :, 1:], (batch, time * (width - 1))))
    own = ops.expand_dims(change(ids[:, :, 0]), 2)
    return ops.concatenate([own, ops.reshape(pieces, (batch, time, width - 1))], axis=2)


def _counts(ordered: Tensor) -> Tensor:
    """How often each row of ids in order, `(batch, columns)`, has each of them."""
    first = ops.ones_like(ordered[:, :1], "bool")
    begins = ops.concatenate([first, ordered[:, 1:] != ordered[:, :-1]], axis=1)
    runs = ops.cumsum(ops.cast(ops.reshape(begins, (-1,)), "int32")) - 1
    ones = ops.ones_like(runs, "float32")
    lengths = ops.segment_sum(ones, runs, num_segments=ops.shape(runs)[0])
    return ops.reshape(ops.take(lengths, runs), ops.shape(ordered))


def _times(counts: Tensor | None, vectors: Tensor) -> Tensor:
    return ops.ones_like(vectors[..., 0]) if counts is None else counts


def _damped(vectors: Tensor, counts: Tensor) -> Tensor:
    """The sum of words, each of which counts 1 + log of how often it comes."""
    return _total(vectors, 1 + ops.log(counts), counts)


def _total(vectors: Tensor, worth: Tensor, counts: Tensor) -> Tensor:
    """`(batch, columns, classes + 1)` to `(batch, classes + 1)`: terms times what each is worth.

    A term of c occurrences is there c times, with a c-th of its worth each; the last feature is
    a square and goes with the worth's.
    """
    shares = ops.stack([worth / counts, ops.square(worth) / counts], axis=1)
    both = ops.matmul(shares, vectors)
    return ops.concatenate([both[:, 0, :-1], both[:, 1, -1:]], axis=1)


def _scores(terms: Tensor) -> Tensor:
    """`(batch, classes + 1)` to `(batch, classes)`: over the length of all terms together."""
    return terms[:, :-1] / ops.sqrt(ops.maximum(terms[:, -1:], 1e-6))
