"""The open inference protocol (v2), as KServe and Triton speak it: tensors in, tensors out."""

from __future__ import annotations

from typing import Any

import orjson

from serving.engine import Answers, Engine
from serving.limits import ROWS, Refusal
from serving.protocol import Row, Shape, checked, decoded


def metadata(name: str, engine: Engine) -> dict[str, Any]:
    """What the model takes and gives."""
    shape = engine.shape
    kind = "BYTES" if shape.kind == "text" else "FP32"
    size = [-1] if shape.kind == "text" else [-1, -1]
    if shape.kind == "numeric" and len(shape.columns) == 1 and shape.channels > 1:
        size = [-1, -1, shape.channels]
    classes = len(engine.classes)
    return {
        "name": name,
        "versions": [engine.version],
        "platform": f"nocturne_{engine.kind}",
        "inputs": [{"name": one, "datatype": kind, "shape": size} for one in shape.columns],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        ],
        "parameters": {"classes": list(engine.classes), "digest": engine.digest},
    }


def rows_of(body: bytes, shape: Shape) -> list[Row]:
    """The rows of a request; raises as `protocol.rows_of` does."""
    content = decoded(body)
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise Refusal(400, "inputs: must be a list of tensors", field="inputs")
    named = {str(one.get("name")): one for one in inputs}
    columns = []
    for name in shape.columns:
        if name not in named:
            raise Refusal(
                422, f"inputs: tensor {name!r} is missing, got {list(named)!a:.60}", field=name
            )
        columns.append(_rows(named[name], name))
    if len({len(column) for column in columns}) > 1:
        raise Refusal(422, "inputs: tensors differ in their first dimension", field="inputs")
    return checked(list(zip(*columns, strict=True)), "inputs", shape)


def _rows(tensor: dict[str, Any], name: str) -> list[Any]:
    data, size = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list) or not isinstance(size, list) or not size:
        raise Refusal(422, f"{name}: needs the lists shape and data", field=name)
    if not all(type(one) is int and 0 <= one <= 1 << 20 for one in size):
        raise Refusal(422, f"{name}: shape must hold counts", field=name)
    if size[0] > ROWS:
        raise Refusal(413, f"{name}: {size[0]} rows, at most {ROWS} a request", field=name)
    rows = data if any(isinstance(one, list) for one in data) else _nested(data, size, name)
    if len(rows) != size[0]:
        raise Refusal(422, f"{name}: shape says {size[0]} rows, data holds {len(rows)}", field=name)
    return rows


def _nested(flat: list[Any], size: list[int], name: str) -> list[Any]:
    """A flat list in row-major order as nested lists."""
    wanted = 1
    for one in size:
        wanted *= one
    if wanted != len(flat):
        raise Refusal(422, f"{name}: shape says {wanted} values, got {len(flat)}", field=name)
    for one in reversed(size[1:]):
        flat = [flat[at : at + one] for at in range(0, len(flat), one)] if one else []
    return flat


def answer(name: str, answers: Answers) -> bytes:
    """Labels and probabilities as tensors."""
    engine, probabilities = answers.engine, answers.probabilities
    likeliest = [engine.classes[best] for best in probabilities.argmax(axis=1).tolist()]
    count = len(likeliest)
    return orjson.dumps(
        {
            "model_name": name,
            "model_version": engine.version,
            "outputs": [
                _tensor("label", "BYTES", [count], likeliest),
                _tensor(
                    "probabilities",
                    "FP32",
                    [count, len(engine.classes)],
                    probabilities.ravel().tolist(),
                ),
            ],
        }
    )


def _tensor(name: str, kind: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": shape, "data": data}
