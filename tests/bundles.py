"""Bundles written by hand, without Keras, so that tests of the door open in milliseconds."""

import io
import json
import zipfile

import h5py
import numpy as np

from model_registry.bundle import seal

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"name": "dense", "units": 2, "activation": "softmax"},
    "registered_name": None,
    "build_config": {"input_shape": [None, 4]},
}


def model_config(*layers):
    """The configuration of a functional model, as Keras writes it."""
    given = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4], "name": "input"},
        "registered_name": None,
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "model", "layers": [given, *(layers or (DENSE,))]},
        "registered_name": "Functional",
    }


def weights(edit=None):
    """An HDF5 file like the one in a Keras file; `edit` may change it while it is open."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((4, 2), np.float32)
        file["layers/dense/vars/1"] = np.zeros(2, np.float32)
        if edit:
            edit(file)
    return buffer.getvalue()


def write_model(path, *, config=None, data=None, extra=None, compression=zipfile.ZIP_STORED):
    """A `.keras` file with the given configuration, weights and extra members."""
    members = {
        "metadata.json": b'{"keras_version": "3.15.1"}',
        "config.json": json.dumps(config or model_config()).encode(),
        "model.weights.h5": weights() if data is None else data,
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_bundle(directory, marker="a", **model):
    """All files of a bundle, not sealed yet; another marker gives another digest."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "preprocessor.json").write_text('{"kind": "text"}')
    (directory / "labels.json").write_text('["no", "yes"]')
    (directory / "pipeline.json").write_text(json.dumps({"name": "toy", "marker": marker}))
    (directory / "golden.json").write_text('{"rows": [], "probabilities": []}')
    write_model(directory / "model.keras", **model)
    return directory


def sealed_bundle(directory, key, marker="a", **model):
    """A bundle that `verify` accepts; returns the directory."""
    write_bundle(directory, marker, **model)
    seal(directory, key)
    return directory
