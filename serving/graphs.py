"""A Keras model as an ONNX graph; imports Keras, so only the compiling process imports it.

Keras exports an LSTM as a loop of some twenty small steps. ONNX has one operator for it, several
times as fast. So each LSTM is exported as a stand-in that is easy to find, and the operator takes
its place. What follows an LSTM reads real steps only, so that the values at padding, which
differ, do not matter; whoever uses a graph compares it with Keras first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MARK = 8
GATES = (0, 3, 1, 2)  # Keras: input, forget, cell, output; ONNX: input, output, forget, cell


def export(model: Any, path: Path, *, fused: bool) -> None:
    """Write the model's forward pass.

    Args:
        model: Was called once.
        path: The file to write.
        fused: Whether LSTMs become one operator each.
    """
    layers: list[Any] = []
    if fused:
        model = keras.models.clone_model(
            model, clone_function=lambda layer: _stand_in(layer, layers), recursive=True
        )
        model.predict_on_batch(np.zeros([one or 2 for one in model.input_shape], _dtype(model)))
    model.export(str(path), format="onnx", verbose=False)
    graph = onnx.load(str(path))
    _without_erfc(graph)
    for number, layer in enumerate(layers):
        _fuse(graph.graph, layer, number)
    onnx.save(graph, str(path))


class StandIn(keras.layers.Layer):  # type: ignore[misc]
    """Where an LSTM stood: features picked by a pattern that tells which, times the length."""

    def __init__(self, number: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.pattern = pattern(number, width)
        self.supports_masking = True

    def call(self, steps: Any, mask: Any) -> Any:
        """`(batch, time, features)` to `(batch, time, width)`."""
        lengths = keras.ops.sum(keras.ops.cast(mask, "float32"), axis=1)
        return keras.ops.take(steps, self.pattern, axis=2) * lengths[:, None, None]

    def compute_output_shape(self, steps_shape: tuple[Any, ...], **_: Any) -> tuple[Any, ...]:
        """The width takes the place of the features."""
        return (*steps_shape[:-1], len(self.pattern))


def pattern(number: int, width: int) -> NDArray[np.int32]:
    """Zeros and ones that are a number's bits, repeated: a mark in the graph."""
    bits = [number >> bit & 1 for bit in range(MARK - 2)]
    return np.resize(np.array([1, 0, *bits], np.int32), width)


def _stand_in(layer: Any, layers: list[Any]) -> Any:
    """A copy of a layer that keeps its weights, or the stand-in of an LSTM."""
    if all(_usual(lstm) for lstm in _directions(layer)) and _directions(layer):
        layers.append(layer)
        return StandIn(len(layers) - 1, layer.output.shape[-1], name=layer.name)
    return layer


def _directions(layer: Any) -> list[Any]:
    """The LSTMs of a layer: one, two, or none."""
    if isinstance(layer, keras.layers.LSTM):
        return [layer]
    if isinstance(layer, keras.layers.Bidirectional) and layer.merge_mode == "concat":
        both = [layer.forward_layer, layer.backward_layer]
        return both if all(isinstance(one, keras.layers.LSTM) for one in both) else []
    return []


def _usual(lstm: Any) -> bool:
    """Whether the operator computes what this layer does, and is wide enough for its mark."""
    names = (lstm.activation.__name__, lstm.recurrent_activation.__name__)
    plain = names == ("tanh", "sigmoid") and lstm.use_bias and lstm.return_sequences
    return bool(plain and lstm.units >= MARK)


def _dtype(model: Any) -> Any:
    return model.inputs[0].dtype


def _fuse(graph: Any, layer: Any, number: int) -> None:
    """Put the operator in the place of a stand-in; raises where it is not found."""
    gather, product = _found(graph, pattern(number, layer.output.shape[-1]))
    lengths = next(name for name in product.input if name != gather.output[0])
    weights = [_weights(lstm) for lstm in _directions(layer)]
    names = [f"lstm_{number}/{part}" for part in ("kernel", "recurrent", "bias")]
    for name, values in zip(names, zip(*weights, strict=True), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.stack(values), name))
    made = list(_nodes(gather.input[0], lengths, product.output[0], names, number, layer))
    nodes = [node for node in graph.node if node is not product and node is not gather]
    at = next(n for n, node in enumerate(graph.node) if node is product)
    before = sum(node is not gather for node in graph.node[:at])
    del graph.node[:]
    graph.node.extend([*nodes[:before], *made, *nodes[before:]])


def _nodes(
    steps: str, lengths: str, out: str, weights: list[str], number: int, layer: Any
) -> Iterator[Any]:
    both = len(_directions(layer))
    units = _directions(layer)[0].units
    own = f"lstm_{number}"
    shapes = {f"{own}/flat": [-1], f"{own}/joined": [0, 0, both * units]}
    for name, shape in shapes.items():
        value = numpy_helper.from_array(np.array(shape, np.int64))
        yield helper.make_node("Constant", [], [name], value=value)
    yield helper.make_node("Reshape", [lengths, f"{own}/flat"], [f"{own}/long"])
    yield helper.make_node("Cast", [f"{own}/long"], [f"{own}/lengths"], to=onnx.TensorProto.INT32)
    yield helper.make_node("Transpose", [steps], [f"{own}/by_time"], perm=[1, 0, 2])
    yield helper.make_node(
        "LSTM",
        [f"{own}/by_time", *weights, f"{own}/lengths"],
        [f"{own}/states"],
        hidden_size=units,
        direction="bidirectional" if both == 2 else "forward",
    )
    yield helper.make_node("Transpose", [f"{own}/states"], [f"{own}/rows"], perm=[2, 0, 1, 3])
    yield helper.make_node("Reshape", [f"{own}/rows", f"{own}/joined"], [out])


def _found(graph: Any, mark: NDArray[np.int32]) -> tuple[Any, Any]:
    """The two nodes of a stand-in: the one that picks by its mark, and the product after it."""
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    gathers = [
        node
        for node in graph.node
        if node.op_type == "Gather" and np.array_equal(constants.get(node.input[1], ()), mark)
    ]
    products = [
        node for node in graph.node if node.op_type == "Mul" and gathers[0].output[0] in node.input
    ]
    (gather,), (product,) = gathers, products
    return gather, product


def _weights(lstm: Any) -> tuple[NDArray[np.float32], ...]:
    """Input, recurrent and bias weights, in ONNX's order of gates."""
    kernel, recurrent, bias = (np.asarray(one, np.float32) for one in lstm.get_weights())
    order = np.concatenate([np.arange(lstm.units) + gate * lstm.units for gate in GATES])
    return (
        np.ascontiguousarray(kernel.T[order]),
        np.ascontiguousarray(recurrent.T[order]),
        np.concatenate([bias[order], np.zeros_like(bias)]),
    )


def _without_erfc(model: Any) -> None:
    """The complementary error function of GELU, which ONNX lacks, as one minus `Erf`."""
    nodes = list(model.graph.node)
    if not any(node.op_type == "Erfc" for node in nodes):
        return
    one = helper.make_tensor("nocturne_one", onnx.TensorProto.FLOAT, [], [1.0])
    model.graph.initializer.append(one)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "Erfc":
            model.graph.node.append(node)
            continue
        erf = f"{node.output[0]}/erf"
        model.graph.node.append(helper.make_node("Erf", node.input, [erf]))
        model.graph.node.append(helper.make_node("Sub", [one.name, erf], node.output))
