"""A loaded version: the bundle's own preprocessing, and its forward pass, compiled.

The bundle is the truth. What runs is its model as an ONNX graph that `serving.compiling` derived
from it in a process of its own; where a model has no such graph, Keras itself answers. Either must
agree with training's golden answers to 1e-5 before it takes traffic.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from model_registry import bundle
from serving.protocol import Row, Shape
from tasks.inference import golden
from tasks.sequences.bucketing import bucket_length
from tasks.sequences.preprocessor import preprocessor_from_json

if TYPE_CHECKING:
    import pandas as pd

    from tasks.ragged import Ragged

logger = logging.getLogger(__name__)

STEP_OVERHEAD_ROWS = 10  # a step of a batch costs as much as this many rows of it, before any row
WARM_ROWS = (1, 8, 64)
LONG = 128  # steps beyond which only one row is warmed with

Forward = Callable[[NDArray[Any]], NDArray[np.float32]]


class EngineRefused(RuntimeError):
    """A version that was loaded does not answer as it was trained."""


@dataclass(frozen=True)
class Answers:
    """What a version said to rows.

    Attributes:
        engine: The version that said it.
        probabilities: `(rows, classes)` float32.
        inputs: What the rows of the whole flight were encoded to.
        first: Which row of the flight is the first of these.
    """

    engine: Engine
    probabilities: NDArray[np.float32]
    inputs: Ragged
    first: int = 0


@dataclass(frozen=True)
class Encoded:
    """Rows on their way through the model.

    Attributes:
        inputs: In their own order, without padding.
        batches: Which rows form a batch, and the batch, padded.
    """

    inputs: Ragged
    batches: list[tuple[NDArray[np.int64], NDArray[Any]]]


class Engine:
    """One version that answers rows.

    Args:
        version: The registered version.
        digest: Of its bundle.
        directory: The verified bundle.
        forward: Padded model input to probabilities.
        kind: `onnx` or `keras`.
    """

    def __init__(
        self, version: str, digest: str, directory: Path, forward: Forward, kind: str
    ) -> None:
        self.version = version
        self.digest = digest
        self.kind = kind
        self.golden_difference = 0.0
        self._directory = directory
        self.forward = forward
        state = _read(directory, "preprocessor")
        self.preprocessor = preprocessor_from_json(state)
        self.classes = tuple(_read(directory, "labels"))
        self.names = tuple(f"probability_{name}" for name in self.classes)
        self.max_length = int(state["max_length"])
        columns = _read(directory, "pipeline")["columns"]
        if state["kind"] == "text":
            self.shape = Shape("text", (columns["text"],))
        else:
            self.shape = Shape("numeric", tuple(columns["sequence"]), len(state["center"]))

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Rows as the model takes them, those of like length together.

        Raises:
            ValueError: a row that cannot be encoded, named.
        """
        column = "text" if self.shape.kind == "text" else "series"
        # a mapping of lists is all that `encode` looks for in a frame, and spares making one
        frame = cast("pd.DataFrame", {column: list(rows)})
        return self.batched(self.preprocessor.encode(frame))

    def batched(self, inputs: Ragged) -> Encoded:
        """Encoded rows cut into padded batches."""
        lengths = inputs.lengths
        batches = [
            (rows, inputs.take(rows).padded(bucket_length(int(lengths[rows].max(initial=0)))))
            for rows in groups(lengths)
        ]
        return Encoded(inputs, batches)

    def answer(self, encoded: Encoded) -> Answers:
        """The forward pass; each answer depends on nothing but its row."""
        found = np.empty((len(encoded.inputs), len(self.classes)), np.float32)
        for rows, batch in encoded.batches:
            found[rows] = self.forward(batch)
        return Answers(self, found, encoded.inputs)

    def warm(self) -> float:
        """Run every bucket once, then answer the golden rows; returns seconds.

        Raises:
            EngineRefused: the golden answers differ from training's, or are no numbers.
        """
        began = time.perf_counter()
        spec = self.preprocessor.spec
        for length in buckets(self.max_length):
            for rows in WARM_ROWS if length <= LONG else WARM_ROWS[:1]:
                self.forward(_zeros(spec, rows, length))
        self.golden_difference = self._golden()
        if not self.golden_difference <= golden.TOLERANCE:
            raise EngineRefused(
                f"golden rows: answers differ from training's by {self.golden_difference:.2e}, at "
                f"most {golden.TOLERANCE:.0e} is allowed"
            )
        return time.perf_counter() - began

    def _golden(self) -> float:
        frame, expected = golden.from_json(_read(self._directory, "golden"))
        if not len(frame):
            return 0.0
        found = self.answer(self.batched(self.preprocessor.encode(frame)))
        return float(np.abs(found.probabilities - expected).max())


def load(version: str, digest: str, directory: Path, compiled: Path, public_key: Path) -> Engine:
    """A version from its verified bundle and what was compiled of it.

    Raises:
        BundleRefused: the bundle is not what the ledger names.
        EngineRefused: the compiled file is not the one that was checked.
    """
    bundle.verify(directory, expected_digest=digest, public_key=public_key)
    facts = json.loads((compiled / "compiled.json").read_text("utf-8"))
    if facts["engine"] == "onnx":
        path = compiled / "model.onnx"
        if sha256_of(path) != facts["sha256"]:
            raise EngineRefused(f"{path.name} was changed after it was compiled; delete {compiled}")
        return Engine(version, digest, directory, onnx_forward(path), "onnx")
    logger.warning("v%s is answered by Keras itself: %s", version, facts["why"])
    return Engine(
        version, digest, directory, _keras_forward(directory, digest, public_key), "keras"
    )


def onnx_forward(path: Path) -> Forward:
    """An ONNX graph as a function; one thread, for requests run beside each other."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # patterns are kept for every shape that ever came
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def forward(batch: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {name: batch})[0]
        return found

    return forward


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keras_forward(directory: Path, digest: str, public_key: Path) -> Forward:
    from tasks.inference.classifier import SequenceClassifier

    classifier = SequenceClassifier.load(directory, expected_digest=digest, public_key=public_key)
    return cast("Forward", classifier.model.predict_on_batch)


def groups(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Which rows share a batch, so that steps and padding cost least.

    A batch of `n` rows padded to `L` steps costs `L * (STEP_OVERHEAD_ROWS + n)`; rows in order of
    their bucket are cut where that makes the sum smallest.

    Args:
        lengths: Steps of each row, `(rows,)`.
    """
    kinds, inverse = np.unique(lengths, return_inverse=True)
    padded = np.array([bucket_length(int(length)) for length in kinds], np.int64)[inverse]
    order = np.argsort(padded, kind="stable")
    values, counts = np.unique(padded, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])
    best, cut = [0.0], [0]
    for end in range(1, len(values) + 1):
        costs = [
            best[start] + values[end - 1] * (STEP_OVERHEAD_ROWS + ends[end] - ends[start])
            for start in range(end)
        ]
        cut.append(int(np.argmin(costs)))
        best.append(float(min(costs)))
    found, end = [], len(values)
    while end:
        found.append(order[ends[cut[end]] : ends[end]])
        end = cut[end]
    return found[::-1]


def buckets(longest: int) -> list[int]:
    """Every length that rows of up to so many steps are padded to."""
    found: list[int] = []
    length = 1
    while length <= max(longest, 1):
        found.append(bucket_length(length))
        length = found[-1] + 1
    return found


def _zeros(spec: Any, rows: int, length: int) -> NDArray[Any]:
    """Model input of real steps, of no meaning."""
    if spec.kind == "text":
        shape = (rows, length) if spec.width == 1 else (rows, length, spec.width)
        return np.ones(shape, np.int32)
    return np.ones((rows, length, spec.size), np.float32)


def _read(directory: Path, name: str) -> Any:
    return json.loads((directory / f"{name}.json").read_text("utf-8"))
