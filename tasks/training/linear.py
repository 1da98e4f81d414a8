"""The linear member of a blend: solved for, where gradient steps would overfit rare terms.

Terms are weighed by the logarithm of their rarity, as TF-IDF does, and rows by their length.
Gradient steps of the Adam family move a rare term as far as a common one; a support vector machine,
solved to its optimum, does not. Words with their pairs have one length, the pieces that words are
spelt with another.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged
from tasks.training.one_vs_rest import solved
from tasks.training.vectors import layers_of

STRENGTHS = (0.1, 0.3, 1.0, 3.0)  # inverse of the penalty; the validation rows choose
ROWS_A_BATCH = 1_024


def solve(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    weights: NDArray[np.float32] | None,
) -> None:
    """Give a model's linear member its weights; nothing happens where it has none.

    Args:
        model: As a builder made it; its linear member has the layers `terms`, `pairs`,
            `terms_of_pairs` and `scores`.
        train: Rows to solve for.
        validation: Rows that choose the strength of the penalty, by their log loss.
        weights: Of each training row, `(rows,)`; None weighs all alike.
    """
    layers = {layer.name: layer for layer in layers_of(model)}
    if "terms_of_pairs" not in layers:
        return
    sizes = [layers[name].input_dim for name in ("terms", "terms_of_pairs")]
    known = _counted(train.inputs, layers["pairs"], sizes)
    rarity = np.log((1 + len(train)) / (1 + sum(known).getnnz(axis=0))) + 1
    told = _weighed(_counted(validation.inputs, layers["pairs"], sizes), rarity)
    coefficients, bias = solved(
        _weighed(known, rarity),
        train.labels,
        weights,
        told,
        validation.labels,
        estimator=_machine,
        strengths=STRENGTHS,
        classes=layers["scores"].bias.shape[0],
    )
    table = np.concatenate([coefficients * rarity, rarity[None] ** 2]).T.astype(np.float32)
    table[[0, sizes[0]]] = 0.0
    layers["terms"].set_weights([table[: sizes[0]]])
    layers["terms_of_pairs"].set_weights([table[sizes[0] :]])
    layers["scores"].set_weights([bias.astype(np.float32)])


def _machine(strength: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=strength, random_state=0)


def _counted(inputs: Ragged, pairs: Any, sizes: list[int]) -> list[Any]:
    """How often each row has each term, `(rows, terms)` sparse: words with pairs, and pieces.

    The ids of pairs come last.
    """
    from scipy import sparse

    parts: list[list[Any]] = [[], []]
    for first in range(0, len(inputs), ROWS_A_BATCH):
        batch = inputs.take(np.arange(first, min(first + ROWS_A_BATCH, len(inputs)))).padded()
        after = keras.ops.convert_to_numpy(pairs(batch))
        own, pieces = (batch, batch[:, :0]) if batch.ndim == 2 else (batch[..., 0], batch[..., 1:])
        words = np.concatenate([own, np.where(after > 0, after + sizes[0], 0)], axis=1)
        for part, terms in zip(parts, (words, pieces.reshape(len(batch), -1)), strict=True):
            part.append(_occurrences(terms, sum(sizes)))
    return [sparse.vstack(part, "csr") for part in parts]


def _occurrences(terms: NDArray[Any], ids: int) -> Any:
    """`(rows, columns)` of ids, 0 for none, to counts `(rows, ids)` sparse."""
    from scipy import sparse

    rows, places = np.nonzero(terms)
    ones = np.ones(len(rows), np.float64)
    return sparse.csr_matrix((ones, (rows, terms[rows, places])), (len(terms), ids))


def _weighed(counted: list[Any], rarity: NDArray[np.float64]) -> Any:
    """Counts times rarity, words and pieces each over their length, as `TermScores` has it."""
    from scipy import sparse

    lengths = [np.sqrt(np.maximum(part @ rarity**2, 1e-6)) for part in counted]
    alike = (sparse.diags(1 / of) @ part for of, part in zip(lengths, counted, strict=True))
    return sum(alike) @ sparse.diags(rarity)
