"""The floor: an average of word vectors, or of projected steps, and one layer on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.ragged import InputSpec

if TYPE_CHECKING:
    import keras


def averaged_embeddings(
    spec: InputSpec,
    classes: int,
    *,
    embedding: int = 64,
    front: int = 0,
    stride: int = 1,
    input_dropout: float = 0.0,
    dropout: float = 0.2,
    l2: float = 0.0,
) -> keras.Model:
    """Knows which steps there are, not in which order; what does not beat it learnt no order.

    Args:
        spec: What the model is fed.
        classes: Number of classes.
        embedding: Width of a token's embedding, or of the projection of a numeric step.
        front: Channels of a convolutional front for numeric input; 0: none.
        stride: Steps that are read as one, their mean: for long series through a front.
        input_dropout: Share of embedding channels dropped over the whole row.
        dropout: Before the last layer.
        l2: Weight penalty on the last layer.

    Returns:
        From `(batch, time)` or `(batch, time, channels)` to `(batch, classes)`.
    """
    import keras

    from tasks.architectures import blocks

    steps = blocks.read(
        spec, embedding=embedding, front=front, dropout=input_dropout, stride=stride
    )
    vector = blocks.pooled(steps, "mean")
    if spec.kind == "numeric":
        vector = keras.layers.Concatenate()([vector, blocks.pooled(steps, "max")])
    return blocks.classifier(
        steps, vector, classes, dropout=dropout, l2=l2, name="averaged_embeddings"
    )
