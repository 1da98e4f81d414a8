"""The linear member of a blend: solved for, where gradient steps would overfit rare terms.

Terms are weighed by the logarithm of their rarity, as TF-IDF does, and rows by their length.
Gradient steps of the Adam family move a rare term as far as a common one; a support vector machine,
solved to its optimum, does not. Words with their pairs, counted by the logarithm, have one length,
the pieces that words are spelt with another, as long or shorter: where texts are long and their
words tell enough, many pieces are many ways to be misled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged
from tasks.training.one_vs_rest import Setting, Solved, solved, solved_again
from tasks.training.vectors import layers_of

STRENGTHS = (0.1, 0.3, 1.0, 3.0)  # inverse of the penalty; the validation rows choose
SHARES = (1.0, 0.5, 0.25)  # of the words' length, that of pieces; they choose it after that
ROWS_A_BATCH = 1_024


def solve(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    weights: NDArray[np.float32] | None,
) -> Setting | None:
    """Give a model's linear member its weights; nothing happens where it has none.

    Args:
        model: As a builder made it; its linear member has the layers `terms`, `pairs`,
            `terms_of_pairs` and `scores`.
        train: Rows to solve for.
        validation: Rows that choose the strength of the penalty and the length of pieces, by
            their log loss.
        weights: Of each training row, `(rows,)`; None weighs all alike.

    Returns:
        What was chosen.
    """
    layers = _layers(model)
    if not layers:
        return None
    known, told = (_counted(rows.inputs, layers) for rows in (train, validation))
    rarity = _rarity(known)

    def at(share: float, strengths: Sequence[float]) -> Solved:
        return solved(
            _weighed(known, rarity, share),
            train.labels,
            weights,
            _weighed(told, rarity, share),
            validation.labels,
            estimator=_machine,
            strengths=strengths,
            classes=layers["scores"].bias.shape[0],
        )

    chosen, *shorter = SHARES if known[1].nnz else (1.0,)
    best = at(chosen, STRENGTHS)
    for share in shorter:
        other = at(share, (best.setting.strength,))
        if other.surprise < best.surprise:
            best, chosen = other, share
    _set(layers, (best.coefficients, best.bias), known, chosen)
    return best.setting._replace(share=chosen)


def solve_again(
    models: Sequence[keras.Model],
    rows: Examples,
    weights: NDArray[np.float32] | None,
    setting: Setting,
) -> None:
    """Give the linear members of some models the weights that all rows ask for.

    Args:
        models: Of one builder; their linear members become equal.
        rows: Rows to solve for.
        weights: Of each row, `(rows,)`; None weighs all alike.
        setting: What rows that are not among them chose, as `solve` tells it.
    """
    layers = _layers(models[0])
    known = _counted(rows.inputs, layers)
    line = solved_again(
        _weighed(known, _rarity(known), setting.share),
        rows.labels,
        weights,
        estimator=_machine,
        setting=setting,
        classes=layers["scores"].bias.shape[0],
    )
    for model in models:
        _set(_layers(model), line, known, setting.share)


def _layers(model: keras.Model) -> dict[str, Any]:
    """The layers of the linear member by name; empty where a model has none."""
    layers = {layer.name: layer for layer in layers_of(model)}
    return layers if "terms_of_pairs" in layers else {}


def _sizes(layers: dict[str, Any]) -> list[int]:
    """How many ids of terms there are, and of pairs."""
    return [layers[name].input_dim for name in ("terms", "terms_of_pairs")]


def _rarity(known: list[Any]) -> NDArray[np.float64]:
    """The logarithm of how rare each term is among the rows, `(terms,)`."""
    found: NDArray[np.float64] = (
        np.log((1 + known[0].shape[0]) / (1 + sum(known).getnnz(axis=0))) + 1
    )
    return found


def _set(layers: dict[str, Any], line: tuple[Any, Any], known: list[Any], share: float) -> None:
    """Write coefficients and bias into the layers, pieces' with their share."""
    rarity, terms = _rarity(known), layers["terms"].input_dim
    scale = np.where(known[1].getnnz(axis=0) > 0, share, 1.0) * rarity
    table = np.concatenate([line[0] * scale, rarity[None] ** 2]).T.astype(np.float32)
    table[[0, terms]] = 0.0
    layers["terms"].set_weights([table[:terms]])
    layers["terms_of_pairs"].set_weights([table[terms:]])
    layers["scores"].set_weights([line[1].astype(np.float32)])


def _machine(strength: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=strength, random_state=0)


def _counted(inputs: Ragged, layers: dict[str, Any]) -> list[Any]:
    """What a term counts in each row, `(rows, terms)` sparse: words with pairs, and pieces.

    Words and pairs that come c times count 1 + log(c), pieces c. The ids of pairs come last.
    """
    from scipy import sparse

    sizes = _sizes(layers)
    parts: list[list[Any]] = [[], []]
    for first in range(0, len(inputs), ROWS_A_BATCH):
        batch = inputs.take(np.arange(first, min(first + ROWS_A_BATCH, len(inputs)))).padded()
        after = keras.ops.convert_to_numpy(layers["pairs"](batch))
        own, pieces = (batch, batch[:, :0]) if batch.ndim == 2 else (batch[..., 0], batch[..., 1:])
        words = np.concatenate([own, np.where(after > 0, after + sizes[0], 0)], axis=1)
        for part, terms in zip(parts, (words, pieces.reshape(len(batch), -1)), strict=True):
            part.append(_occurrences(terms, sum(sizes)))
    terms, pieces = (sparse.vstack(part, "csr") for part in parts)
    terms.data = 1 + np.log(terms.data)
    return [terms, pieces]


def _occurrences(terms: NDArray[Any], ids: int) -> Any:
    """`(rows, columns)` of ids, 0 for none, to counts `(rows, ids)` sparse."""
    from scipy import sparse

    rows, places = np.nonzero(terms)
    ones = np.ones(len(rows), np.float64)
    return sparse.csr_matrix((ones, (rows, terms[rows, places])), (len(terms), ids))


def _weighed(counted: list[Any], rarity: NDArray[np.float64], share: float) -> Any:
    """Counts times rarity over their length, pieces shorter by `share`, as `TermScores` has it."""
    from scipy import sparse

    worth = [part @ sparse.diags(rarity) for part in counted]
    lengths = [np.sqrt(np.maximum(part.multiply(part).sum(axis=1).A1, 1e-6)) for part in worth]
    words, pieces = (sparse.diags(1 / of) @ part for of, part in zip(lengths, worth, strict=True))
    return words + share * pieces
