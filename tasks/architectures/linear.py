"""What is solved for, alone: no weight of it moves by gradient steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.ragged import InputSpec

if TYPE_CHECKING:
    import keras


def linear(spec: InputSpec, classes: int) -> keras.Model:
    """Linear in a text's terms, or in what random convolutions find in a series.

    The member of a `blend` that ignores order and is solved for (`tasks.training.linear`,
    `tasks.training.convolutions`), on its own: fitted in seconds, and on few long series often
    as good as what learns by gradient steps, or better. Training settings do not touch it.

    Args:
        spec: What the model is fed.
        classes: Number of classes.

    Returns:
        From `(batch, time)` or `(batch, time, channels)` to `(batch, classes)`.
    """
    from tasks.architectures import blocks

    return (blocks.linear if spec.kind == "text" else blocks.convolved_at_random)(spec, classes)
