"""What the architectures are put together from; imports Keras, so builders import it late."""

from __future__ import annotations

from math import comb
from typing import Any, NamedTuple

import keras

from tasks.architectures import ids as renamed
from tasks.architectures import layers as own
from tasks.architectures import strides
from tasks.architectures.shares import SharesAbove, SharesWon
from tasks.architectures.terms import Counted, TermScores
from tasks.config import ConfigError
from tasks.misfits import unknown
from tasks.ragged import InputSpec

Tensor = Any
KERNELS = (7, 5, 3)
FEWEST_PAIRS, MOST_PAIRS = 1 << 15, 1 << 17  # ids of pairs of neighbours
LEAST_DILATIONS, LEVELS = 4, 8  # of random convolutions, and levels of what they answer
TAPS, HEAVY = 9, 3  # steps that such a kernel weighs, and those of them that it weighs most
GROUPS, RIVALS = 32, 8  # of kernels that compete, and those of a group
HASHED = 10_000  # ids of what training adds to vectors learnt before
POOLINGS: dict[str, tuple[str, ...]] = {
    "all": ("max", "mean", "attention"),
    "max": ("max",),
    "mean": ("mean",),
    "attention": ("attention",),
    "last": ("last",),
}


class Sequence(NamedTuple):
    """A batch of sequences on their way through a model.

    Attributes:
        inputs: The model's input.
        steps: `(batch, time, features)` float32.
        mask: `(batch, time)` bool, True at a real step.
    """

    inputs: Tensor
    steps: Tensor
    mask: Tensor

    def then(self, steps: Tensor) -> Sequence:
        """The same sequences one layer further."""
        return self._replace(steps=steps)


def read(
    spec: InputSpec, *, embedding: int, front: int, dropout: float, stride: int = 1
) -> Sequence:
    """From the model's input to vectors: token embeddings, or numbers through a front.

    Args:
        spec: What the model is fed.
        embedding: Width of a token's embedding, or of the projection of a numeric step.
        front: Channels of the convolutional front of numeric input; 0: a projection instead.
        dropout: Share of embedding or front channels dropped, the same ones at every step.
        stride: Steps that are read as one, their mean: what reads in order pays for each step, and
            so do all layers of a front but its first, which reads every step.
    """
    if spec.kind == "text":
        shape = (None,) if spec.width == 1 else (None, spec.width)
        inputs = keras.Input(shape, dtype="int32", name="tokens")
        embedded = _embedded(spec, inputs, embedding)
        sequence = _means(Sequence(inputs, embedded, own.Presence()(inputs)), stride)
    else:
        inputs = keras.Input((None, spec.size), dtype="float32", name="series")
        mask = own.Presence()(inputs)
        sequence = Sequence(inputs, own.ClearPadding()(inputs, mask), mask)
        if front:
            sequence = _convolved(sequence, front, stride)
        else:
            projected = keras.layers.Dense(embedding, activation="relu")(sequence.steps)
            sequence = _means(sequence.then(projected), stride)
    if dropout:
        sequence = sequence.then(keras.layers.SpatialDropout1D(dropout)(sequence.steps))
    return sequence


def _means(sequence: Sequence, stride: int) -> Sequence:
    """One step for so many, their mean."""
    if stride == 1:
        return sequence
    steps = strides.StepMeans(stride)(sequence.steps, sequence.mask)
    return sequence._replace(steps=steps, mask=strides.WindowsPresent(stride)(sequence.mask))


def _embedded(spec: InputSpec, inputs: Tensor, features: int) -> Tensor:
    """A vector for each token, `(batch, time, features)`, those of its pieces counted.

    Vectors learnt before stay as they are, and what training adds to them is embedded under
    hashed ids: far fewer weights move. `tasks.training.vectors` finds the layer that holds the
    vectors by its name.
    """
    if not spec.vectors:
        return _summed(spec, keras.layers.Embedding(spec.size, features)(inputs), inputs)
    known = keras.layers.Embedding(spec.size, spec.vectors, trainable=False, name="vectors")
    ids = renamed.Hashed(HASHED)(inputs)
    added = _summed(spec, keras.layers.Embedding(HASHED, spec.vectors)(ids), ids)
    own_ids = inputs if spec.width == 1 else renamed.OwnIds()(inputs)
    return keras.layers.Add()([known(own_ids), added])


def _summed(spec: InputSpec, vectors: Tensor, ids: Tensor) -> Tensor:
    return vectors if spec.width == 1 else own.SumOfPieces()(vectors, ids)


def _convolved(sequence: Sequence, channels: int, stride: int) -> Sequence:
    """Local shapes at three scales, each normalised over real steps only.

    The stack is the fully convolutional network of Wang et al. 2017
    (https://arxiv.org/abs/1611.06455). Its first layer reads every step; the means of what that
    finds are what the others read, which have nearly all of the work.
    """
    for place, size in enumerate(KERNELS):
        convolved = keras.layers.Conv1D(channels, size, padding="same", use_bias=False)
        steps = convolved(sequence.steps)
        steps = keras.layers.BatchNormalization(momentum=0.9)(steps, mask=sequence.mask)
        steps = keras.layers.Activation("relu")(steps)
        sequence = sequence.then(own.ClearPadding()(steps, sequence.mask))
        if place == 0:
            sequence = _means(sequence, stride)
    return sequence


def recurrent(
    sequence: Sequence,
    *,
    units: int,
    layers: int,
    dropout: float,
    recurrent_dropout: float,
    l2: float,
    bidirectional: bool,
) -> Sequence:
    """LSTM layers over the sequence, dropout between them.

    Args:
        sequence: Where to read.
        units: Size of a state, of each direction.
        layers: LSTMs on top of each other.
        dropout: Between the layers.
        recurrent_dropout: Of the state; above 0 a GPU loses its fast kernel.
        l2: Weight penalty on input and recurrent kernels.
        bidirectional: Read from both ends.
    """
    for number in range(layers):
        if number and dropout:
            sequence = sequence.then(keras.layers.Dropout(dropout)(sequence.steps))
        layer = keras.layers.LSTM(
            units,
            return_sequences=True,
            recurrent_dropout=recurrent_dropout,
            kernel_regularizer=penalty(l2),
            recurrent_regularizer=penalty(l2),
        )
        if bidirectional:
            layer = keras.layers.Bidirectional(layer)
        sequence = sequence.then(layer(sequence.steps, mask=sequence.mask))
    return sequence


def attended(sequence: Sequence, *, heads: int, dropout: float) -> Tensor:
    """Every step's view of all real steps, `(batch, time, features)`."""
    features = sequence.steps.shape[-1]
    attention = keras.layers.MultiHeadAttention(
        heads, max(features // heads, 1), dropout=dropout, use_bias=False
    )
    keys = keras.layers.Reshape((1, -1))(sequence.mask)
    return attention(sequence.steps, sequence.steps, attention_mask=keys)


def beside(one: Sequence, other: Sequence) -> Sequence:
    """The features of both at every step."""
    return one.then(keras.layers.Concatenate()([one.steps, other.steps]))


def pooled(sequence: Sequence, pooling: str) -> Tensor:
    """One vector a row, `(batch, features)` or `(batch, 3 * features)`.

    Args:
        sequence: Where to read.
        pooling: "max", "mean", "attention", "last", or "all": the first three side by side.

    Raises:
        ConfigError: another pooling.
    """
    if pooling not in POOLINGS:
        raise ConfigError("pooling: " + unknown("value", pooling, POOLINGS))
    made = {
        "max": own.MaskedMax,
        "mean": own.MaskedMean,
        "attention": own.AttentionPooling,
        "last": own.LastStep,
    }
    parts = [made[name]()(sequence.steps, sequence.mask) for name in POOLINGS[pooling]]
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def classifier(
    sequence: Sequence, vector: Tensor, classes: int, *, dropout: float, l2: float, name: str
) -> keras.Model:
    """The model that ends in the probabilities of the classes."""
    if dropout:
        vector = keras.layers.Dropout(dropout)(vector)
    head = keras.layers.Dense(
        classes, activation="softmax", kernel_regularizer=penalty(l2), name="probabilities"
    )
    return keras.Model(sequence.inputs, head(vector), name=name)


def linear(spec: InputSpec, classes: int) -> keras.Model:
    """A linear model of tokens, their pieces and pairs of neighbours; text only.

    Its weights are not learnt by gradient steps: `tasks.training.linear` solves for them and
    finds the layers by their names.
    """
    inputs = keras.Input((None,) if spec.width == 1 else (None, spec.width), dtype="int32")
    table = {"embeddings_initializer": "zeros", "trainable": False}
    terms, counts = Counted()(inputs)
    buckets = ids_of_pairs(spec)
    pairs, counts_of_pairs = Counted()(own.Pairs(buckets, name="pairs")(inputs))
    scores = TermScores(name="scores")(
        keras.layers.Embedding(spec.size, classes + 1, name="terms", **table)(terms),
        keras.layers.Embedding(buckets, classes + 1, name="terms_of_pairs", **table)(pairs),
        counts,
        counts_of_pairs,
    )
    return keras.Model(inputs, keras.layers.Activation("softmax")(scores))


def ids_of_pairs(spec: InputSpec) -> int:
    """Ids that pairs of neighbours share: two at least for each token there is, within bounds."""
    return min(max(FEWEST_PAIRS, 1 << (2 * spec.size - 1).bit_length()), MOST_PAIRS)


def convolved_at_random(spec: InputSpec, classes: int) -> keras.Model:
    """A linear model of what fixed convolutions find in a series; numeric only.

    Nothing of it is learnt by gradient steps: `tasks.training.convolutions` draws the kernels,
    solves for the last layer, and finds the layers by their names.
    """
    inputs = keras.Input((None, spec.size), dtype="float32")
    mask = own.Presence()(inputs)
    steps = own.ClearPadding()(inputs, mask)
    still = {"trainable": False, "use_bias": False, "padding": "same"}
    kinds = (
        ("kernels", comb(TAPS, HEAVY), "shares", SharesAbove, LEVELS),
        ("rivals", GROUPS * RIVALS, "won", SharesWon, RIVALS),
    )
    found = [
        summary(option, name=f"{of_them}_{dilation}")(
            keras.layers.Conv1D(
                kernels, TAPS, dilation_rate=dilation, name=f"{name}_{dilation}", **still
            )(steps),
            mask,
        )
        for name, kernels, of_them, summary, option in kinds
        for dilation in dilations(spec.steps)
    ]
    joined = keras.layers.Concatenate(name="found")(found)
    head = keras.layers.Dense(classes, activation="softmax", trainable=False, name="solved")
    return keras.Model(inputs, head(joined))


def dilations(steps: int) -> tuple[int, ...]:
    """1, 2, 4, 8, and doubled as long as a kernel's steps lie within a row of so many."""
    return tuple(1 << n for n in range(31) if n < LEAST_DILATIONS or (TAPS - 1 << n) <= steps)


def together(members: list[keras.Model], name: str) -> keras.Model:
    """The mean of the members' answers, from one input; training tells them apart again."""
    inputs = members[0].input
    named = [keras.Model(m.input, m.output, name=f"member_{n}") for n, m in enumerate(members)]
    return keras.Model(inputs, keras.layers.Average()([m(inputs) for m in named]), name=name)


def tempered(model: keras.Model, temperature: float) -> keras.Model:
    """The same model, its answers at another temperature."""
    answers = own.Tempered(temperature, name="tempered")(model.output)
    return keras.Model(model.input, answers, name=model.name)


def penalty(l2: float) -> Any:
    """A weight penalty, or none."""
    return keras.regularizers.L2(l2) if l2 else None
