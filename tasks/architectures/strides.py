"""Long sequences in fewer steps; needs Keras alone, registered by name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any
register = keras.saving.register_keras_serializable("nocturne")


class _Strided(keras.layers.Layer):  # type: ignore[misc]
    """Windows of `stride` steps, from the first step on, whatever padding follows."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride
        self.supports_masking = True

    def _windows(self, steps: Tensor) -> Tensor:
        """From `(batch, time, features)` to `(batch, windows, stride, features)`."""
        windows = (ops.shape(steps)[1] + self.stride - 1) // self.stride
        filled = ops.pad(steps, [[0, 0], [0, self.stride - 1], [0, 0]])
        whole = filled[:, : windows * self.stride]
        return ops.reshape(whole, (-1, windows, self.stride, steps.shape[-1]))

    def _count(self, time: int | None) -> int | None:
        return None if time is None else -(-time // self.stride)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """No mask travels with the output."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "stride": self.stride}


@register
class StepMeans(_Strided):
    """The mean of the real steps of each window.

    Args:
        stride: Steps of a window.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, True at a real step.

    Returns:
        `(batch, windows, features)`, 0 where a window has no real step.
    """

    def call(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        present = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        sums = ops.sum(self._windows(inputs * present), axis=2)
        return sums / ops.maximum(ops.sum(self._windows(present), axis=2), 1.0)

    def compute_output_spec(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """One step a window."""
        del mask
        batch, time, features = inputs.shape
        return keras.KerasTensor((batch, self._count(time), features), inputs.dtype)


@register
class WindowsPresent(_Strided):
    """Which windows have a real step.

    Args:
        stride: Steps of a window.

    Call arguments:
        mask: `(batch, time)` bool, True at a real step.

    Returns:
        `(batch, windows)` bool.
    """

    def call(self, mask: Tensor) -> Tensor:
        """See the class."""
        present = ops.expand_dims(ops.cast(mask, "float32"), -1)
        return ops.sum(self._windows(present), axis=(2, 3)) > 0.5

    def compute_output_spec(self, mask: Tensor) -> Tensor:
        """A bool for each window."""
        batch, time = mask.shape
        return keras.KerasTensor((batch, self._count(time)), "bool")
