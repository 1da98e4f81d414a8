"""The member of a blend that knows a series by random convolutions, solved for.

After MiniRocket (Dempster, Schmidt and Webb 2021, https://arxiv.org/abs/2012.08791): kernels of
nine steps, three of which weigh 2 and six -1, at several dilations; for how much of a series a
kernel's answer lies above levels taken from the train rows; a linear model on these shares. Here
the shares are of real steps only, and the scores of the linear model, a ridge as theirs, are made
probabilities, so that they can be averaged with those of other members.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged
from tasks.training.one_vs_rest import Setting, solved, solved_again
from tasks.training.vectors import layers_of

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse of the penalty; the validation rows choose
MOST_ROWS = 20_000  # that are solved for; more of them change little and cost memory
ROWS_A_BATCH, LEVELLED_ROWS = 256, 1_024
BAND = 0.02  # width of a level's band, in standard deviations of the kernel's answers
GOLDEN = (5**0.5 - 1) / 2  # its multiples lie evenly between 0 and 1
KERNELS = tuple(combinations(range(9), 3))  # the steps that weigh 2


def solve(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    weights: NDArray[np.float32] | None,
    *,
    seed: int,
) -> Setting | None:
    """Give a model's member of random convolutions its weights; others are left alone.

    Args:
        model: As a builder made it; the member's layers are `kernels_D` and `shares_D` for each
            dilation D, `shares`, and `solved`.
        train: Rows to solve for.
        validation: Rows that choose the strength of the penalty, by their log loss.
        weights: Of each train row, `(rows,)`; None weighs all alike.
        seed: Of the channels that a kernel reads, and of the rows drawn where there are many.

    Returns:
        What was chosen.
    """
    member = _member(model)
    if member is None:
        return None
    layers = {layer.name: layer for layer in member.layers}
    generator = np.random.default_rng(seed)
    train, weights = _drawn(train, weights, generator)
    sample = train.inputs.take(np.arange(len(train))[:: -(-len(train) // LEVELLED_ROWS)])
    for name, layer in layers.items():
        if name.startswith("kernels_"):
            layer.set_weights([_kernels(layer.kernel.shape, generator)])
            beside = layers[name.replace("kernels", "shares")]
            beside.set_weights(_levels(sample, layer, beside.levels))
    known, told = (_shares(member, rows.inputs) for rows in (train, validation))
    center, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    best = solved(
        (known - center) / scale,
        train.labels,
        weights,
        (told - center) / scale,
        validation.labels,
        estimator=_ridge,
        strengths=STRENGTHS,
        classes=layers["solved"].units,
    )
    _set(layers["solved"], (best.coefficients, best.bias), center, scale)
    return best.setting


def solve_again(
    models: Sequence[keras.Model],
    rows: Examples,
    weights: NDArray[np.float32] | None,
    setting: Setting,
    *,
    seed: int,
) -> None:
    """Give members of random convolutions the weights that all rows ask for; kernels stay.

    Args:
        models: As `solve` left them.
        rows: Rows to solve for.
        weights: Of each row, `(rows,)`; None weighs all alike.
        setting: What rows that are not among them chose, as `solve` tells it.
        seed: Of the rows drawn where there are many.
    """
    rows, weights = _drawn(rows, weights, np.random.default_rng(seed))
    for model in models:
        member = _member(model)
        last = member.get_layer("solved")
        known = _shares(member, rows.inputs)
        center, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
        line = solved_again(
            (known - center) / scale,
            rows.labels,
            weights,
            estimator=_ridge,
            setting=setting,
            classes=last.units,
        )
        _set(last, line, center, scale)


def _member(model: keras.Model) -> Any:
    """The model, or the one within it, that random convolutions are in; None where none is."""
    inside = (model, *(one for one in layers_of(model) if isinstance(one, keras.Model)))
    return next((m for m in inside if any(layer.name == "solved" for layer in m.layers)), None)


def _drawn(
    rows: Examples, weights: NDArray[np.float32] | None, generator: np.random.Generator
) -> tuple[Examples, NDArray[np.float32] | None]:
    """So many of the rows as are solved for."""
    if len(rows) <= MOST_ROWS:
        return rows, weights
    drawn = np.sort(generator.choice(len(rows), MOST_ROWS, replace=False))
    return rows.take(drawn), None if weights is None else weights[drawn]


def _set(layer: Any, line: tuple[Any, Any], center: Any, scale: Any) -> None:
    """Write coefficients and bias of standardised shares into the last layer."""
    found, bias = line
    layer.set_weights([(found / scale).T, bias - found @ (center / scale)])


def _ridge(strength: float) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(1 / strength)


def _kernels(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    """`(9, channels, kernels)`; each kernel reads a few channels, the last, presence, never."""
    found = np.zeros(shape, np.float32)
    channels = shape[1] - 1
    for number, steps in enumerate(KERNELS):
        most = np.log2(min(channels, 9) + 1)
        read = generator.choice(channels, int(2 ** generator.uniform(0, most)), replace=False)
        found[:, read, number] = -1
        found[np.array(steps)[:, None], read, number] = 2
    return found


def _levels(sample: Ragged, kernels: Any, levels: int) -> list[NDArray[np.float32]]:
    """Quantiles of each kernel's answers at real steps, evenly spread, and one over its band."""
    padded = sample.padded()
    said = [
        keras.ops.convert_to_numpy(kernels(padded[first : first + ROWS_A_BATCH]))
        for first in range(0, len(padded), ROWS_A_BATCH)
    ]
    answers = np.concatenate(said)[sample.mask(padded.shape[1])]
    numbers = np.arange(1, levels * answers.shape[1] + 1).reshape(levels, -1)
    wanted = numbers * GOLDEN % 1
    ordered = np.sort(answers, axis=0)
    places = np.round(wanted * (len(ordered) - 1)).astype(int)
    steepness = 1 / np.maximum(BAND * answers.std(axis=0), 1e-3)
    return [np.take_along_axis(ordered, places, axis=0), steepness]


def _shares(member: keras.Model, inputs: Ragged) -> NDArray[np.float32]:
    """What a member's kernels find in each row, `(rows, features)`."""
    model = keras.Model(member.input, member.get_layer("shares").output)
    parts = []
    for first in range(0, len(inputs), ROWS_A_BATCH):
        batch = inputs.take(np.arange(first, min(first + ROWS_A_BATCH, len(inputs))))
        parts.append(keras.ops.convert_to_numpy(model(batch.padded(), training=False)))
    found: NDArray[np.float32] = np.concatenate(parts)
    return found
