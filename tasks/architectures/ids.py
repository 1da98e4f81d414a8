"""Layers that turn ids into other ids; registered by name, and in need of Keras alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


@register
class OwnIds(keras.layers.Layer):  # type: ignore[misc]
    """A token's own id, the first of those it has.

    Call arguments:
        inputs: `(batch, time, width)` int32.

    Returns:
        `(batch, time)` int32.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        return inputs[..., 0]

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """One id a token."""
        return keras.KerasTensor(inputs.shape[:2], "int32")


@register
class Hashed(keras.layers.Layer):  # type: ignore[misc]
    """Ids folded into fewer; 0 stays 0.

    Args:
        buckets: Ids there are afterwards, 0 counted.

    Call arguments:
        inputs: int32 ids of any shape.

    Returns:
        int32 ids of that shape.
    """

    def __init__(self, buckets: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        return ops.where(inputs > 0, 1 + inputs % (self.buckets - 1), 0)

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """As the inputs."""
        return keras.KerasTensor(inputs.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "buckets": self.buckets}
