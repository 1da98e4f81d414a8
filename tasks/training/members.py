"""How a model that averages its members is taught: each by its own errors, some at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tasks.ragged import Examples
from tasks.training import convolutions, linear
from tasks.training.one_vs_rest import Setting, usual


def solve(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    weights: NDArray[np.float32] | None,
    *,
    seed: int,
) -> dict[str, Setting]:
    """Give the members that no gradient moves their weights; nothing happens where there is none.

    Args:
        model: As a builder made it.
        train: Rows to solve for.
        validation: Rows that choose the penalties.
        weights: Of each train row, `(rows,)`; None weighs all alike.
        seed: Of what is drawn at random.

    Returns:
        What was chosen for each kind of member that there is.
    """
    chosen = {
        "linear": linear.solve(model, train, validation, weights),
        "convolutions": convolutions.solve(model, train, validation, weights, seed=seed),
    }
    return {kind: setting for kind, setting in chosen.items() if setting is not None}


def solve_again(
    models: Sequence[keras.Model],
    rows: Examples,
    weights: NDArray[np.float32] | None,
    settings: Sequence[Mapping[str, Setting]],
    *,
    seed: int,
) -> None:
    """Solve members for all rows, by what folds of these rows chose.

    A fold's rows are fewer than all, and rare classes feel it: tweeteval_emotion's macro-F1,
    solved alone, is .642 where the mean of four folds has .627.

    Args:
        models: Those of the folds.
        rows: All rows that were cut into folds.
        weights: Of each row, `(rows,)`; None weighs all alike.
        settings: What `solve` told of each fold.
        seed: Of what is drawn at random.
    """
    for kind in settings[0]:
        setting = usual([each[kind] for each in settings])
        if kind == "linear":
            linear.solve_again(models, rows, weights, setting)
        else:
            convolutions.solve_again(models, rows, weights, setting, seed=seed)


def taught(model: keras.Model) -> keras.Model:
    """What to fit: the model itself, or the answers of its members where it averages some.

    The loss of the mean would leave a slow member idle as soon as a fast one is right.

    Args:
        model: As a builder made it.

    Returns:
        A model on the weights that gradients reach; its output is `(batch, classes)`, or
        `(batch, members, classes)`.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Average):
        return model
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    answers = [member(model.input) for member in members if member.trainable_weights]
    if len(answers) == 1:
        return keras.Model(model.input, answers[0])
    rows = [keras.layers.Reshape((1, -1))(answer) for answer in answers]
    return keras.Model(model.input, keras.layers.Concatenate(axis=1)(rows))


def loss(label_smoothing: float) -> Any:
    """Cross-entropy of a row, the mean over members where there are some."""

    def cross_entropy(targets: Any, answers: Any) -> Any:
        if len(answers.shape) == 3:
            targets = ops.repeat(ops.expand_dims(targets, 1), answers.shape[1], axis=1)
        entropy = keras.losses.categorical_crossentropy(
            targets, answers, label_smoothing=label_smoothing
        )
        return ops.mean(entropy, axis=-1) if len(answers.shape) == 3 else entropy

    return cross_entropy
