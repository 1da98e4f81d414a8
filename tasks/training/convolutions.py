"""The member of a blend that knows a series by random convolutions, solved for.

After MiniRocket (Dempster, Schmidt and Webb 2021, https://arxiv.org/abs/2012.08791): kernels of
nine steps, three of which weigh 2 and six -1, at several dilations; for how much of a series a
kernel's answer lies above levels taken from the train rows. Beside them, after Hydra (Dempster,
Schmidt and Webb 2023, https://arxiv.org/abs/2203.13652), kernels of nine normal weights in
groups, and how much each of a group wins against the others. A linear model on both: here of real
steps only, and the scores of the linear model, a ridge as theirs, are made probabilities, so that
they can be averaged with those of other members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged
from tasks.training.one_vs_rest import Setting, solved, solved_again
from tasks.training.vectors import layers_of

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse of the penalty; the validation rows choose
MOST_VALUES = 1 << 26  # rows times features that are solved for: a quarter of a gigabyte
STEPS_A_BATCH = 1 << 14  # of padded rows that kernels answer at once
LEVELLED_STEPS = 1 << 17  # real steps whose answers say where levels lie; the rest change little
BAND = 0.02  # what is as good as equal, in standard deviations of the kernel's answers
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
        model: As a builder made it; the member's layers are `kernels_D` and `shares_D`, `rivals_D`
            and `won_D` for each dilation D, `found`, and `solved`.
        train: Rows to solve for.
        validation: Rows that choose the strength of the penalty, by their log loss.
        weights: Of each train row, `(rows,)`; None weighs all alike.
        seed: Of kernels, the channels that they read, and the rows drawn where there are many.

    Returns:
        What was chosen.
    """
    member = _member(model)
    if member is None:
        return None
    layers = {layer.name: layer for layer in member.layers}
    generator = np.random.default_rng(seed)
    train, weights = _drawn(train, weights, member, generator)
    sample = _sample(train.inputs)
    for name, layer in layers.items():
        kind, _, dilation = name.partition("_")
        if kind == "kernels":
            layer.set_weights([_kernels(layer.kernel.shape, generator)])
            beside = layers[f"shares_{dilation}"]
            beside.set_weights(_levels(_answers(sample, layer), beside.levels))
        if kind == "rivals":
            beside = layers[f"won_{dilation}"]
            layer.set_weights([_rivals(layer.kernel.shape, beside.rivals, generator)])
            beside.set_weights([_steepness(_answers(sample, layer), beside.rivals)])
    known, told = (_found(member, rows.inputs) for rows in (train, validation))
    center, scale = _standardise(known, told)
    best = solved(
        known,
        train.labels,
        weights,
        told,
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
    members = [_member(model) for model in models]
    rows, weights = _drawn(rows, weights, members[0], np.random.default_rng(seed))
    for member in members:
        last = member.get_layer("solved")
        known = _found(member, rows.inputs)
        center, scale = _standardise(known)
        line = solved_again(
            known,
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
    rows: Examples,
    weights: NDArray[np.float32] | None,
    member: keras.Model,
    generator: np.random.Generator,
) -> tuple[Examples, NDArray[np.float32] | None]:
    """So many of the rows as are solved for."""
    most = MOST_VALUES // member.get_layer("found").output.shape[-1]
    if len(rows) <= most:
        return rows, weights
    drawn = np.sort(generator.choice(len(rows), most, replace=False))
    return rows.take(drawn), None if weights is None else weights[drawn]


def _standardise(known: NDArray[np.float32], *others: NDArray[np.float32]) -> tuple[Any, Any]:
    """Center and scale of each feature of the first, taken off all in place: they are large."""
    center, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    for found in (known, *others):
        np.subtract(found, center, out=found)
        np.divide(found, scale, out=found)
    return center, scale


def _set(layer: Any, line: tuple[Any, Any], center: Any, scale: Any) -> None:
    """Write coefficients and bias of standardised features into the last layer."""
    found, bias = line
    layer.set_weights([(found / scale).T, bias - found @ (center / scale)])


def _ridge(strength: float) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(1 / strength)


def _kernels(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    """`(9, channels, kernels)`; each kernel reads a few channels, the last, presence, never."""
    found = np.zeros(shape, np.float32)
    for number, steps in enumerate(KERNELS):
        read = _channels(shape[1] - 1, generator)
        found[:, read, number] = -1
        found[np.array(steps)[:, None], read, number] = 2
    return found


def _rivals(
    shape: tuple[int, ...], rivals: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """`(9, channels, kernels)`; what each weighs of a channel sums to 0, without signs to 1."""
    drawn = generator.normal(size=shape)
    drawn -= drawn.mean(axis=0)
    drawn /= np.abs(drawn).sum(axis=0)
    found = np.zeros(shape, np.float32)
    groups = shape[2] // rivals
    for first in range(groups):
        group = np.s_[:, _channels(shape[1] - 1, generator), first::groups]
        found[group] = drawn[group]
    return found


def _channels(channels: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The few that a kernel reads, at most nine."""
    most = np.log2(min(channels, 9) + 1)
    return generator.choice(channels, int(2 ** generator.uniform(0, most)), replace=False)


def _sample(rows: Ragged) -> Ragged:
    """Rows evenly spaced, so many as have the steps that levels are taken from."""
    return rows.take(np.arange(len(rows))[:: -(-int(rows.offsets[-1]) // LEVELLED_STEPS) or 1])


def _answers(sample: Ragged, kernels: Any) -> NDArray[np.float32]:
    """What kernels answer at real steps, `(steps, kernels)`."""
    said = [keras.ops.convert_to_numpy(kernels(padded))[real] for padded, real in _batches(sample)]
    return np.concatenate(said)


def _levels(answers: NDArray[np.float32], levels: int) -> list[NDArray[np.float32]]:
    """Quantiles of each kernel's answers, evenly spread, and one over its band."""
    numbers = np.arange(1, levels * answers.shape[1] + 1).reshape(levels, -1)
    wanted = numbers * GOLDEN % 1
    ordered = np.sort(answers, axis=0)
    places = np.round(wanted * (len(ordered) - 1)).astype(int)
    return [np.take_along_axis(ordered, places, axis=0), _over_band(answers.std(axis=0))]


def _steepness(answers: NDArray[np.float32], rivals: int) -> NDArray[np.float32]:
    """One over the band of each group, `(groups,)`."""
    return _over_band(answers.std(axis=0).reshape(rivals, -1).mean(axis=0))


def _over_band(deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    steepness: NDArray[np.float32] = 1 / np.maximum(BAND * deviation, 1e-3)
    return steepness


def _found(member: keras.Model, inputs: Ragged) -> NDArray[np.float32]:
    """What a member's kernels find in each row, `(rows, features)`."""
    model = keras.Model(member.input, member.get_layer("found").output)
    parts = [
        keras.ops.convert_to_numpy(model(padded, training=False)) for padded, _ in _batches(inputs)
    ]
    found: NDArray[np.float32] = np.concatenate(parts)
    return found


def _batches(rows: Ragged) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """All rows in their order, padded, and where steps are real; fewer at once where long."""
    longest = max(1, int(rows.lengths.max(initial=0)))
    size = max(1, STEPS_A_BATCH // longest)
    for first in range(0, len(rows), size):
        batch = rows.take(np.arange(first, min(first + size, len(rows))))
        length = max(1, int(batch.lengths.max(initial=0)))
        yield batch.padded(length), batch.mask(length)
