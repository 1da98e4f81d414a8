"""Where models of saved files find the layers of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from tasks.architectures import ids, layers, shares, strides, terms

MODULES = (ids, layers, shares, strides, terms)


def known() -> Any:
    """A scope in which the layers are those of these very modules, whoever registered last."""
    values = (value for module in MODULES for value in vars(module).values())
    classes = (value for value in values if isinstance(value, type))
    named = {keras.saving.get_registered_name(value): value for value in classes}
    own = {name: value for name, value in named.items() if name.startswith("nocturne>")}
    return keras.saving.custom_object_scope(own)


def load(path: Path) -> keras.Model:
    """The model of a `.keras` file, without its optimiser; no code of the file is run."""
    with known():
        return keras.saving.load_model(path, compile=False, safe_mode=True)
