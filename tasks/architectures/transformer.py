"""A transformer encoder: attention and positions, no recurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.ragged import InputSpec

if TYPE_CHECKING:
    import keras

    from tasks.architectures import blocks


def transformer(
    spec: InputSpec,
    classes: int,
    *,
    units: int = 64,
    layers: int = 2,
    heads: int = 4,
    pooling: str = "all",
    embedding: int = 128,
    front: int = 64,
    stride: int = 1,
    input_dropout: float = 0.3,
    dropout: float = 0.4,
    l2: float = 0.0,
) -> keras.Model:
    """Pre-norm encoder blocks (https://arxiv.org/abs/2002.04745) under the same pooling.

    Args:
        spec: What the model is fed.
        classes: Number of classes.
        units: Width of the encoder.
        layers: Encoder blocks on top of each other.
        heads: Of the attention.
        pooling: "all" (max, mean and attention), "max", "mean", "attention" or "last".
        embedding: Width of a token's embedding, or of a numeric step without a front.
        front: Channels of the convolutional front of numeric input; 0: none.
        stride: Steps that are read as one, their mean: for long sequences.
        input_dropout: Share of embedding or front channels dropped over the whole row.
        dropout: Between layers and before the last.
        l2: Weight penalty on the last layer.

    Returns:
        From `(batch, time)` or `(batch, time, channels)` to `(batch, classes)`.
    """
    import keras

    from tasks.architectures import blocks
    from tasks.architectures import layers as own

    steps = blocks.read(
        spec, embedding=embedding, front=front, dropout=input_dropout, stride=stride
    )
    steps = steps.then(own.Positions()(keras.layers.Dense(units)(steps.steps)))
    for _ in range(layers):
        steps = _block(steps, heads=heads, dropout=dropout)
    steps = steps.then(keras.layers.LayerNormalization()(steps.steps))
    vector = blocks.pooled(steps, pooling)
    return blocks.classifier(steps, vector, classes, dropout=dropout, l2=l2, name="transformer")


def _block(steps: blocks.Sequence, *, heads: int, dropout: float) -> blocks.Sequence:
    """Attention, then two dense layers, each around a shortcut."""
    import keras

    from tasks.architectures import blocks

    width = steps.steps.shape[-1]
    normal = steps.then(keras.layers.LayerNormalization()(steps.steps))
    seen = blocks.attended(normal, heads=heads, dropout=dropout)
    steps = steps.then(keras.layers.Add()([steps.steps, keras.layers.Dropout(dropout)(seen)]))
    hidden = keras.layers.LayerNormalization()(steps.steps)
    hidden = keras.layers.Dense(2 * width, activation="gelu")(hidden)
    hidden = keras.layers.Dropout(dropout)(keras.layers.Dense(width)(hidden))
    return steps.then(keras.layers.Add()([steps.steps, hidden]))
