"""Layers that honour the mask, so that padding never changes an answer.

This module needs Keras alone and its layers are registered by name, so a saved model loads
wherever this one file is imported. Masks are explicit tensors, `(batch, time)` bool, passed as
an argument; nothing relies on masks that Keras carries along in silence.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


class _Layer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that takes its mask as an argument and lets none travel on in silence."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""


@register
class Presence(_Layer):
    """Which steps are real: the mask every other layer is given.

    Call arguments:
        inputs: Token ids `(batch, time)`, 0 pads; or `(batch, time, width)`, the token's own id
            first; or numbers `(batch, time, channels)` whose last channel is 1 at a real step.

    Returns:
        `(batch, time)` bool.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        if len(inputs.shape) == 2:
            return ops.not_equal(inputs, 0)
        if keras.backend.standardize_dtype(inputs.dtype) == "int32":
            return ops.not_equal(inputs[..., 0], 0)
        return ops.greater(inputs[..., -1], 0.5)

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """A bool for each step."""
        return keras.KerasTensor(inputs.shape[:2], "bool")


class _Masked(_Layer):
    """A layer of `(batch, time, features)` and a mask."""

    def _present(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """The mask as numbers, `(batch, time, 1)`."""
        return ops.expand_dims(ops.cast(mask, inputs.dtype), -1)


@register
class ClearPadding(_Masked):
    """Sets padding to 0, so that a convolution sees the same past the end as past the array.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool.

    Returns:
        `(batch, time, features)`.
    """

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        return inputs * self._present(inputs, mask)

    def compute_output_spec(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """As the inputs."""
        del mask
        return keras.KerasTensor(inputs.shape, inputs.dtype)


@register
class SumOfPieces(_Layer):
    """One vector a token: its own and the mean of its pieces' (n-grams, say), added up.

    Call arguments:
        inputs: `(batch, time, width, features)`, the vector of each id.
        ids: `(batch, time, width)` int32, the token's own id first, 0 where there is none.

    Returns:
        `(batch, time, features)`.
    """

    def call(self, inputs: Tensor, ids: Tensor) -> Tensor:
        """See the class."""
        there = ops.cast(ops.not_equal(ids, 0), inputs.dtype)
        own, pieces = there[..., :1], there[..., 1:]
        pieces = pieces / ops.maximum(ops.sum(pieces, axis=-1, keepdims=True), 1.0)
        shares = ops.expand_dims(ops.concatenate([own, pieces], axis=-1), 2)
        return ops.squeeze(ops.matmul(shares, inputs), 2)

    def compute_output_spec(self, inputs: Tensor, ids: Tensor) -> Tensor:
        """One vector a token."""
        return keras.KerasTensor((*ids.shape[:2], inputs.shape[-1]), inputs.dtype)


@register
class Pairs(_Layer):
    """Each token and the next as one id, hashed; 0 where no real token follows.

    Args:
        buckets: Ids there are, 0 counted.

    Call arguments:
        inputs: Token ids `(batch, time)` or `(batch, time, width)` int32, 0 pads.

    Returns:
        `(batch, time)` int32.
    """

    FACTOR, SMALL = 31337, 1 << 16  # products of the two stay below 2^31

    def __init__(self, buckets: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        ids = inputs if len(inputs.shape) == 2 else inputs[..., 0]
        following = ops.concatenate([ids[:, 1:], ops.zeros_like(ids[:, :1])], axis=1)
        mixed = (ids % self.SMALL) * self.FACTOR + following % self.SMALL
        return ops.where(following > 0, 1 + mixed % (self.buckets - 1), 0)

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """An id for each step."""
        return keras.KerasTensor(inputs.shape[:2], "int32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "buckets": self.buckets}


class _Pooling(_Masked):
    """From `(batch, time, features)` and a mask to `(batch, features)`; no real step gives 0."""

    def compute_output_spec(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """One vector a row."""
        del mask
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1]), inputs.dtype)


@register
class MaskedMean(_Pooling):
    """Mean over the real steps."""

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = self._present(inputs, mask)
        steps = ops.maximum(ops.sum(present, axis=1), 1.0)
        return ops.sum(inputs * present, axis=1) / steps


@register
class MaskedMax(_Pooling):
    """Largest value of each feature over the real steps."""

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = self._present(inputs, mask)
        largest = ops.max(ops.where(present > 0, inputs, -1e9), axis=1)
        return ops.where(ops.any(present > 0, axis=1), largest, 0.0)


@register
class LastStep(_Pooling):
    """The last real step; rows are padded on the right."""

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = self._present(inputs, mask)
        following = ops.concatenate([present[:, 1:], ops.zeros_like(present[:, :1])], axis=1)
        return ops.sum(inputs * present * (1.0 - following), axis=1)


@register
class AttentionPooling(_Pooling):
    """Weighted mean over the real steps, the weights from additive attention.

    The score of a step is `v · tanh(W x + b)` (Bahdanau et al. 2015,
    https://arxiv.org/abs/1409.0473); the softmax runs over real steps only.

    Args:
        units: Width of the score's hidden layer.
    """

    def __init__(self, units: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, inputs_shape: tuple[int | None, ...], mask_shape: Any = None) -> None:
        """Make the weights of the score."""
        del mask_shape
        self.projection = self.add_weight(
            shape=(inputs_shape[-1], self.units), initializer="glorot_uniform", name="projection"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.query = self.add_weight(
            shape=(self.units, 1), initializer="glorot_uniform", name="query"
        )

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = self._present(inputs, mask)
        hidden = ops.tanh(ops.matmul(inputs, self.projection) + self.bias)
        scores = ops.where(present > 0, ops.matmul(hidden, self.query), -1e9)
        weights = ops.exp(scores - ops.max(scores, axis=1, keepdims=True)) * present
        total = ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-9)
        return ops.sum(inputs * (weights / total), axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@register
class Positions(_Layer):
    """Adds sine and cosine waves of the position, each channel with a learned amplitude.

    The waves are those of Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762): they need no
    largest length and a position's wave does not depend on how much padding follows.

    Args:
        amplitude: Of every wave, at first.

    Call arguments:
        inputs: `(batch, time, features)`.

    Returns:
        `(batch, time, features)`.
    """

    def __init__(self, amplitude: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amplitude = amplitude

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        """Make the amplitudes."""
        self.amplitudes = self.add_weight(
            shape=(inputs_shape[-1],),
            initializer=keras.initializers.Constant(self.amplitude),
            name="amplitudes",
        )

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        features = inputs.shape[-1]
        steps = ops.cast(ops.arange(ops.shape(inputs)[1]), inputs.dtype)
        channels = ops.cast(ops.arange(features), inputs.dtype)
        pairs = ops.floor(channels / 2.0)
        speeds = ops.exp(-pairs * (2.0 * 9.210340371976184 / features))  # ln 10,000
        angles = ops.expand_dims(steps, 1) * ops.expand_dims(speeds, 0)
        waves = ops.where(channels - 2.0 * pairs > 0.5, ops.cos(angles), ops.sin(angles))
        return inputs + self.amplitudes * waves

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """As the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "amplitude": self.amplitude}


@register
class Tempered(keras.layers.Layer):  # type: ignore[misc]
    """Probabilities at another temperature; the order of the classes stays.

    After Guo et al. 2017 (https://arxiv.org/abs/1706.04599). A softmax forgets only a constant
    a row, so the logarithm of what it answered serves as its logits.

    Args:
        temperature: Above 1 makes answers less sure, below 1 surer.

    Call arguments:
        inputs: Probabilities `(batch, classes)`.

    Returns:
        Probabilities `(batch, classes)`.
    """

    def __init__(self, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        return ops.softmax(ops.log(ops.maximum(inputs, 2.0**-23)) / self.temperature, axis=-1)

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """As the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}
