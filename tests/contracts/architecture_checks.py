"""What every architecture owes, as functions, so that broken ones can be shown to fail."""

import keras
import numpy as np

from model_registry import model_file
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.training import members

CLASSES = 3
SPECS = {
    "text": InputSpec("text", 30),
    "pieces": InputSpec("text", 30, width=4),
    "vectors": InputSpec("text", 30, width=4, vectors=8),
    "numeric": InputSpec("numeric", 4),
}
LENGTHS = (5, 0, 7, 1, 3)
TINY = {"units": 8, "embedding": 8, "front": 8, "heads": 2}
NO_DROPOUT = {"dropout": 0.0, "input_dropout": 0.0}


def rows(kind, lengths=LENGTHS, seed=0):
    """Rows of these lengths: token ids, tokens with pieces, or channels of which the last is 1."""
    generator = np.random.default_rng(seed)
    spec = SPECS[kind]
    if kind == "text":
        made = [generator.integers(1, spec.size, n).astype(np.int32) for n in lengths]
    elif spec.width > 1:
        made = [generator.integers(0, spec.size, (n, spec.width)).astype(np.int32) for n in lengths]
        for row in made:
            row[:, 0] = np.maximum(row[:, 0], 1)
    else:
        made = [generator.normal(size=(n, spec.size)).astype(np.float32) for n in lengths]
        for row in made:
            row[:, -1] = 1
    return Ragged.of(made)


def answers(model, batch):
    return keras.ops.convert_to_numpy(model(batch, training=False))


def check_probabilities(model, given):
    found = answers(model, given.padded())
    assert found.shape == (len(given), CLASSES)
    assert found.dtype == np.float32
    assert np.isfinite(found).all(), "a row of padding alone must have finite numbers too"
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def check_padding_batch_and_order(model, given):
    """However long the padding, however the rows are batched or ordered: the same answer."""
    together = answers(model, given.padded())
    np.testing.assert_allclose(answers(model, given.padded(12)), together, atol=1e-5)
    for part in ([4, 3, 2, 1, 0], [1], [3, 4], [0, 2]):
        found = answers(model, given.take(np.array(part)).padded(max(2, *given.lengths[part], 0)))
        np.testing.assert_allclose(found, together[part], atol=1e-5)


def check_learning(model, given):
    """One step lowers the loss and moves every trainable weight; or solving for it does."""
    labels = (np.arange(len(given)) % CLASSES).astype(np.int32)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    model.compile(keras.optimizers.SGD(0.002), "categorical_crossentropy", run_eagerly=True)
    if not model.trainable_weights:
        loss = model.test_on_batch(given.padded(), targets)
        train = Examples(given, labels, np.array([f"r{row}" for row in labels]))
        members.solve(model, train, train, None, seed=1)
        assert model.test_on_batch(given.padded(), targets) < loss
        return
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    loss = model.train_on_batch(given.padded(), targets)
    moved = {
        weight.path: bool(np.any(keras.ops.convert_to_numpy(weight) != old))
        for weight, old in zip(model.trainable_weights, before, strict=True)
    }
    assert all(moved.values()), [path for path, did in moved.items() if not did]
    assert model.train_on_batch(given.padded(), targets) < loss


def check_configuration(path):
    """Only layers that the loader of bundles allows."""
    model_file.inspect(path)
