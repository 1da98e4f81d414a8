"""LSTMs that read from both ends, pooled over all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.ragged import InputSpec

if TYPE_CHECKING:
    import keras


def bidirectional_lstm(
    spec: InputSpec,
    classes: int,
    *,
    units: int = 64,
    layers: int = 1,
    pooling: str = "all",
    beside: bool = True,
    embedding: int = 128,
    front: int = 64,
    stride: int = 1,
    input_dropout: float = 0.3,
    dropout: float = 0.4,
    recurrent_dropout: float = 0.0,
    l2: float = 0.0,
) -> keras.Model:
    """Both directions, and max, mean and attention side by side: the strong default.

    Args:
        spec: What the model is fed.
        classes: Number of classes.
        units: Size of an LSTM's state in each direction.
        layers: LSTMs on top of each other.
        pooling: "all" (max, mean and attention), "max", "mean", "attention" or "last".
        beside: Pool what the LSTM read beside what it made of it.
        embedding: Width of a token's embedding, or of a numeric step without a front.
        front: Channels of the convolutional front of numeric input; 0: none.
        stride: Steps that are read as one, their mean: for long sequences.
        input_dropout: Share of embedding or front channels dropped over the whole row.
        dropout: Between layers and before the last.
        recurrent_dropout: Of the LSTM's state; above 0 a GPU loses its fast kernel.
        l2: Weight penalty on LSTM kernels and the last layer.

    Returns:
        From `(batch, time)` or `(batch, time, channels)` to `(batch, classes)`.
    """
    from tasks.architectures import blocks

    steps = blocks.read(
        spec, embedding=embedding, front=front, dropout=input_dropout, stride=stride
    )
    states = blocks.recurrent(
        steps,
        units=units,
        layers=layers,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        l2=l2,
        bidirectional=True,
    )
    if beside:
        states = blocks.beside(states, steps)
    vector = blocks.pooled(states, pooling)
    return blocks.classifier(
        states, vector, classes, dropout=dropout, l2=l2, name="bidirectional_lstm"
    )
