"""The linear member of a blend: solved for, where gradient steps would overfit rare terms.

Terms are weighed by the logarithm of their rarity, as TF-IDF does, and rows by their length.
Gradient steps of the Adam family move a rare term as far as a common one; the penalised
likelihood, solved to its optimum, does not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Examples, Ragged
from tasks.training.vectors import layers_of

STRENGTHS = (1.0, 4.0, 16.0)  # inverse of the penalty; the validation rows choose
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
    rarity = np.log((1 + len(train)) / (1 + known.getnnz(axis=0))) + 1
    told = _weighed(_counted(validation.inputs, layers["pairs"], sizes), rarity)
    solved = _best(_weighed(known, rarity), train.labels, weights, told, validation.labels)
    coefficients, bias = _of_every_class(solved, layers["scores"].bias.shape[0])
    table = np.concatenate([coefficients * rarity, rarity[None] ** 2]).T.astype(np.float32)
    table[[0, sizes[0]]] = 0.0
    layers["terms"].set_weights([table[: sizes[0]]])
    layers["terms_of_pairs"].set_weights([table[sizes[0] :]])
    layers["scores"].set_weights([bias.astype(np.float32)])


def _counted(inputs: Ragged, pairs: Any, sizes: list[int]) -> Any:
    """How often each row has each term, `(rows, terms)` sparse; the pairs' ids come last."""
    from scipy import sparse

    parts = []
    for first in range(0, len(inputs), ROWS_A_BATCH):
        batch = inputs.take(np.arange(first, min(first + ROWS_A_BATCH, len(inputs)))).padded()
        after = keras.ops.convert_to_numpy(pairs(batch))
        columns = [batch.reshape(len(batch), -1), np.where(after > 0, after + sizes[0], 0)]
        terms = np.concatenate(columns, axis=1)
        rows, places = np.nonzero(terms)
        ones = np.ones(len(rows), np.float64)
        shape = (len(batch), sum(sizes))
        parts.append(sparse.csr_matrix((ones, (rows, terms[rows, places])), shape))
    return sparse.vstack(parts, "csr")


def _weighed(counted: Any, rarity: NDArray[np.float64]) -> Any:
    """Counts times rarity over the row's length, as the layer `RowScores` has it."""
    from scipy import sparse

    length = np.sqrt(np.maximum(counted @ rarity**2, 1e-6))
    return sparse.diags(1 / length) @ counted @ sparse.diags(rarity)


def _best(
    known: Any,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    told: Any,
    wanted: NDArray[np.int32],
) -> Any:
    """The logistic regression whose penalty leaves the validation rows least surprising."""
    from sklearn.linear_model import LogisticRegression

    found, least = None, np.inf
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        model.fit(known, labels, sample_weight=weights)
        places = np.searchsorted(model.classes_, wanted).clip(0, len(model.classes_) - 1)
        chosen = model.predict_proba(told)[np.arange(len(wanted)), places]
        surprise = -np.log(np.maximum(chosen, 1e-7)).mean()
        if surprise < least:
            found, least = model, surprise
    return found


def _of_every_class(solved: Any, classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coefficients and bias of all classes; one that no row has is as good as impossible."""
    coefficients = np.zeros((classes, solved.coef_.shape[1]))
    bias = np.full(classes, -30.0)
    if len(solved.classes_) == 2:
        coefficients[solved.classes_] = np.concatenate([-solved.coef_, solved.coef_]) / 2
        bias[solved.classes_] = np.concatenate([-solved.intercept_, solved.intercept_]) / 2
    else:
        coefficients[solved.classes_] = solved.coef_
        bias[solved.classes_] = solved.intercept_
    return coefficients, bias
