"""Vectors learnt before, in the layer that holds them; and what moves beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

VECTORS = "vectors"  # as architectures name the layer


def give(model: keras.Model, path: Path) -> None:
    """Fill the layers that hold word vectors; nothing happens where no file is.

    Args:
        model: As a builder made it.
        path: `.npy` of `(ids, features)`; later ids, and those with zeros, have no vector.
    """
    if not path.exists():
        return
    vectors = np.load(path, allow_pickle=False)
    for layer in layers_of(model):
        if layer.name == VECTORS:
            table = np.zeros(layer.get_weights()[0].shape, np.float32)
            table[: len(vectors)] = vectors
            layer.set_weights([table])


def layers_of(model: keras.Model) -> Iterator[Any]:
    """All layers, those of models inside it too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
        yield layer


def moving(model: keras.Model) -> list[Any]:
    """The model's variables, seeds of dropout too, but for those of layers that never learn."""
    still = {id(v) for layer in layers_of(model) if not layer.trainable for v in layer.variables}
    return [variable for variable in model.variables if id(variable) not in still]
