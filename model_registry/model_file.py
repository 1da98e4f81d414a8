"""A static reading of `model.keras`: what it would build, before anything builds it.

A Keras file is a zip of a configuration that names classes, and of weights in HDF5. Here the
zip may hold three plain members, the configuration may name only the classes of `ALLOWED`, and
the weights may be numbers stored in the file itself and nothing else.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_registry.errors import BundleRefused

MIB = 1 << 20
MEMBERS: dict[str, int] = {  # every member of the zip and its largest size in bytes
    "config.json": 8 * MIB,
    "metadata.json": MIB,
    "model.weights.h5": 2048 * MIB,
}
OWN: dict[str, frozenset[str]] = {  # the same of this project's own layers
    "tasks.architectures.ids": frozenset({"Hashed", "OwnIds"}),
    "tasks.architectures.layers": frozenset(
        {
            "AttentionPooling",
            "ClearPadding",
            "LastStep",
            "MaskedMax",
            "MaskedMean",
            "Pairs",
            "Positions",
            "Presence",
            "SumOfPieces",
            "Tempered",
        }
    ),
    "tasks.architectures.shares": frozenset({"SharesAbove", "SharesWon"}),
    "tasks.architectures.strides": frozenset({"StepMeans", "WindowsPresent"}),
    "tasks.architectures.terms": frozenset({"Counted", "TermScores"}),
}
ALLOWED: dict[str, frozenset[str]] = {  # module to the classes a configuration may name
    "keras": frozenset({"DTypePolicy"}),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.layers": frozenset(
        {
            "Activation",
            "Add",
            "Average",
            "BatchNormalization",
            "Bidirectional",
            "Concatenate",
            "Conv1D",
            "Dense",
            "Dropout",
            "Embedding",
            "InputLayer",
            "LSTM",
            "LayerNormalization",
            "MultiHeadAttention",
            "Reshape",
            "SpatialDropout1D",
        }
    ),
    "keras.initializers": frozenset(
        {"Constant", "GlorotUniform", "Ones", "Orthogonal", "RandomUniform", "Zeros"}
    ),
    "keras.regularizers": frozenset({"L1", "L1L2", "L2"}),
    **OWN,
}
PLAIN = frozenset({"__keras_tensor__", "__slice__", "__ellipsis__"})
SIZES = ("input_dim", "output_dim", "units", "filters", "num_heads", "key_dim", "value_dim")


def inspect(path: Path) -> None:
    """Refuse a model file that could do anything but compute.

    Raises:
        BundleRefused: "refused: RULE: what was found".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_members(archive)
            weights = archive.getinfo("model.weights.h5").file_size
            config = json.loads(archive.read("config.json"))
            _refuse_classes(config, weights)
            _refuse_weights(archive.read("model.weights.h5"))
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BundleRefused("zip", f"model.keras: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BundleRefused("config", f"model.keras: config.json: {error}") from None


def _refuse_members(archive: zipfile.ZipFile) -> None:
    """Exactly the plain members, stored and not compressed, so that none can swell."""
    names = [member.filename for member in archive.infolist()]
    strangers = sorted(set(names) - set(MEMBERS))
    if strangers:
        raise BundleRefused("zip member", f"model.keras holds {strangers[0]!r}")
    if sorted(names) != sorted(MEMBERS):
        raise BundleRefused("zip member", f"model.keras: expected {', '.join(MEMBERS)} once each")
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1:
            raise BundleRefused("zip bomb", f"{member.filename} is compressed or encrypted")
        if member.file_size != member.compress_size or member.file_size > MEMBERS[member.filename]:
            raise BundleRefused("zip bomb", f"{member.filename} claims {member.file_size} bytes")


def _refuse_classes(config: Any, weights: int) -> None:
    """Only classes of the table, each by its own name, none wider than the weights."""
    if not isinstance(config, dict):
        raise BundleRefused("config", f"expected an object, got {type(config).__name__}")
    config = {**config, "compile_config": None}  # loaded with compile=False: never read
    for entry in _objects(config):
        module, name = entry.get("module"), entry["class_name"]
        if module is None and name in PLAIN:
            continue
        if not isinstance(name, str) or name not in ALLOWED.get(str(module), frozenset()):
            raise BundleRefused(
                "class", f"{module}.{name} is not on the allow-list model_file.ALLOWED"
            )
        ours = module in OWN
        own = f"nocturne>{name}" if ours else name
        if entry.get("registered_name") not in ((own,) if ours else (own, None)):
            raise BundleRefused(
                "class", f"{module}.{name} goes by the name {entry.get('registered_name')!r}"
            )
        if entry.get("compile_config"):
            raise BundleRefused("class", f"{module}.{name} carries a compile_config")
        _refuse_width(f"{module}.{name}", entry.get("config"), weights)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that names a class, however deep."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _refuse_width(name: str, config: Any, weights: int) -> None:
    """A layer may not ask for more numbers than the weights file has bytes."""
    if not isinstance(config, dict):
        raise BundleRefused("class", f"{name}: config must be an object")
    sizes = [config[key] for key in SIZES if isinstance(config.get(key), int)]
    if any(size < 0 for size in sizes) or math.prod(sizes) > weights:
        raise BundleRefused("width", f"{name} asks for {sizes}, the weights have {weights} bytes")


def _refuse_weights(data: bytes) -> None:
    """Plain arrays of numbers, inside this file, no bigger than it."""
    import h5py

    room = len(data)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            pending: list[Any] = [file]
            while pending:
                group = pending.pop()
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise BundleRefused("weights", f"{group.name}/{name} is a link elsewhere")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        pending.append(item)
                    else:
                        room -= _plain_bytes(item)
                    room -= 1  # so that a loop of groups ends too
                    if room < 0:
                        raise BundleRefused("weights", f"more than the {len(data)} bytes there are")
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        if isinstance(error, BundleRefused):
            raise
        raise BundleRefused("weights", f"model.weights.h5: {error}") from None


def _plain_bytes(dataset: Any) -> int:
    """Size of an array of numbers that is stored as it is."""
    properties = dataset.id.get_create_plist()
    if dataset.is_virtual or dataset.external or properties.get_nfilters():
        raise BundleRefused("weights", f"{dataset.name} is virtual, external or compressed")
    if dataset.dtype.kind not in "biuf":
        raise BundleRefused("weights", f"{dataset.name} holds {dataset.dtype}, no numbers")
    return int(dataset.nbytes)
