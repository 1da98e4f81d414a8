"""What random convolutions of a series come to; needs Keras alone, registered by name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


@register
class SharesAbove(keras.layers.Layer):  # type: ignore[misc]
    """For how much of a row each feature lies above each of its levels.

    A value is not simply above or below: its part grows from 0 to 1 over a band around the level,
    so that rounding, which differs between machines, does not make it jump. Levels and bands are
    given, not learnt.

    Args:
        levels: Of each feature.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, True at a real step.

    Returns:
        `(batch, features * levels)`, from 0 to 1; 0 for a row without a real step.
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = levels
        self.supports_masking = True

    def build(self, inputs_shape: tuple[int | None, ...], mask_shape: Any = None) -> None:
        """Make levels `(levels, features)` and the steepness of each feature's band."""
        del mask_shape
        features = inputs_shape[-1]
        for name, shape in (("level", (self.levels, features)), ("steepness", (features,))):
            made = self.add_weight(shape=shape, initializer="ones", name=name, trainable=False)
            setattr(self, name, made)

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        steps = ops.maximum(ops.sum(present, axis=1), 1.0)
        shares = []
        for number in range(self.levels):
            above = ops.clip((inputs - self.level[number]) * self.steepness + 0.5, 0.0, 1.0)
            shares.append(ops.sum(above * present, axis=1) / steps)
        return ops.concatenate(shares, axis=-1)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""

    def compute_output_spec(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """One vector a row."""
        del mask
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] * self.levels), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "levels": self.levels}
