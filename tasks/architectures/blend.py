"""Models that learn apart and answer together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.config import ConfigError
from tasks.ragged import InputSpec

if TYPE_CHECKING:
    import keras


def blend(
    spec: InputSpec,
    classes: int,
    *,
    lstms: int = 1,
    units: int = 64,
    embedding: int = 64,
    front: int = 64,
    stride: int = 1,
    input_dropout: float = 0.3,
    dropout: float = 0.4,
    l2: float = 0.0,
) -> keras.Model:
    """The mean of what LSTMs that read in order and models that ignore order answer.

    On text the latter is one that is linear in tokens, n-grams and pairs of neighbours, and
    solved for (`tasks.training.linear`). On series there are two: one averages a convolutional
    front, the other is linear in what random convolutions find, and solved for
    (`tasks.training.convolutions`). Each member that gradients reach has its own loss in training
    (`tasks.training.members`), so that one that learns fast does not keep another from learning;
    they err in different places, and their mean errs less.

    Args:
        spec: What the model is fed.
        classes: Number of classes.
        lstms: How many bidirectional LSTMs, each from other first weights; on series also 0.
        units: Size of an LSTM's state in each direction.
        embedding: Width of a token's embedding, or of a numeric step without a front.
        front: Channels of the convolutional front of numeric input; 0: none.
        stride: Steps that an LSTM, and all layers of a front but its first, read as one, their
            mean: for long sequences. What is solved for reads every step.
        input_dropout: Share of embedding or front channels dropped over the whole row.
        dropout: Before the last layers.
        l2: Weight penalty on LSTM kernels and the last layers.

    Returns:
        From `(batch, time)` or `(batch, time, channels)` to `(batch, classes)`.

    Raises:
        ConfigError: too few LSTMs.
    """
    least = 1 if spec.kind == "text" else 0
    if lstms < least:
        raise ConfigError(f"option 'lstms' of blend: must be at least {least}, got {lstms}")
    from tasks.architectures import blocks
    from tasks.architectures.averaged_embeddings import averaged_embeddings
    from tasks.architectures.bidirectional_lstm import bidirectional_lstm

    shared: dict[str, Any] = {
        "embedding": embedding,
        "front": front,
        "input_dropout": input_dropout,
        "dropout": dropout,
        "l2": l2,
    }
    ordered = {"units": units, "stride": stride, **shared}
    members = [bidirectional_lstm(spec, classes, **ordered) for _ in range(lstms)]
    if spec.kind == "text":
        members.append(blocks.linear(spec, classes))
    else:
        members.append(averaged_embeddings(spec, classes, stride=stride, **shared))
        members.append(blocks.convolved_at_random(spec, classes))
    return blocks.together(members, name="blend")
