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


@register
class SharesWon(keras.layers.Layer):  # type: ignore[misc]
    """How far each feature of a group is the greatest of it over a row, and how often the least.

    After Hydra (Dempster, Schmidt and Webb 2023, https://arxiv.org/abs/2203.13652), where the
    features are answers of kernels that compete at every step. Here the winner does not take a
    step whole: those within a band below it have parts that fall from 1 to 0, so that rounding,
    which differs between machines, does not choose between two that are as good as equal.

    Args:
        rivals: Features of a group. Of n groups, the features of one lie n apart.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, True at a real step.

    Returns:
        `(batch, 2 * features)`: roots of the mean of what each feature had where it was greatest,
        and of the share of steps where it was least; 0 for a row without a real step.
    """

    def __init__(self, rivals: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rivals = rivals
        self.supports_masking = True

    def build(self, inputs_shape: tuple[Any, ...], mask_shape: Any = None) -> None:
        """Make the steepness of each group's band, `(groups,)`, given and not learnt."""
        del mask_shape
        self.steepness = self.add_weight(
            shape=(inputs_shape[-1] // self.rivals,),
            initializer="ones",
            name="steepness",
            trainable=False,
        )

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = ops.reshape(ops.cast(mask, inputs.dtype), (*ops.shape(mask), 1, 1))
        groups = inputs.shape[-1] // self.rivals
        grouped = ops.reshape(inputs, (*ops.shape(mask), self.rivals, groups))
        scaled = grouped * self.steepness
        above = ops.relu(scaled - ops.max(scaled, axis=2, keepdims=True) + 1.0)
        below = ops.relu(ops.min(scaled, axis=2, keepdims=True) + 1.0 - scaled)
        above, below = (
            part * (present / ops.sum(part, axis=2, keepdims=True)) for part in (above, below)
        )
        sums = ops.concatenate([ops.sum(above * grouped, axis=1), ops.sum(below, axis=1)], axis=1)
        means = sums / ops.maximum(ops.sum(present, axis=1), 1.0)
        return ops.sqrt(ops.maximum(ops.reshape(means, (-1, 2 * inputs.shape[-1])), 0.0))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""

    def compute_output_spec(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """One vector a row."""
        del mask
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] * 2), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rivals": self.rivals}
