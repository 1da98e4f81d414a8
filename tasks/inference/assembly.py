"""From what training left on disk to a bundle, by copying: Keras is not imported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_registry import bundle
from model_registry.redaction import without_secrets
from tasks.inference import golden
from tasks.ragged import Examples

if TYPE_CHECKING:
    import pandas as pd


def assemble(
    candidate: Path,
    prepared: Path,
    classes: Sequence[str],
    pipeline: Mapping[str, Any],
    *,
    into: Path,
    key: Path,
    golden_rows: int = golden.MOST_ROWS,
) -> bundle.Manifest:
    """Make and seal the bundle of one candidate.

    Args:
        candidate: The candidate's directory: model.keras and golden_probabilities.npy, the
            finished model's own answers for the validation rows.
        prepared: The night's rows: preprocessor.json, validation/ and rows_validation.parquet.
        classes: Names, in the order of the model's output.
        pipeline: The pipeline as plain values; passwords in it are masked.
        into: The bundle's directory; what was there before is removed.
        key: The signing key.
        golden_rows: How many validation rows are kept with the answers training gave them.

    Raises:
        BundleRefused: the candidate's files would not be accepted by a reader.
        OSError: a file of the candidate or of the night is missing.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, mode=0o700)
    shutil.copyfile(candidate / "model.keras", into / "model.keras")
    state = json.loads((prepared / "preprocessor.json").read_text("utf-8"))
    kept = _golden(candidate, prepared, golden_rows)
    write_bundle(into, state, classes, pipeline, kept)
    return bundle.seal(into, key)


def write_bundle(
    directory: Path,
    preprocessor: Mapping[str, Any],
    classes: Sequence[str],
    pipeline: Mapping[str, Any],
    kept: tuple[pd.DataFrame, NDArray[np.float32]],
) -> None:
    """Write the JSON files of a bundle beside its model; it is not sealed yet."""
    content = {
        "preprocessor.json": preprocessor,
        "labels.json": list(classes),
        "pipeline.json": without_secrets(pipeline),
        "golden.json": golden.to_json(*kept),
    }
    for name, value in content.items():
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        (directory / name).write_text(text, "utf-8")


def read_rows(path: Path) -> pd.DataFrame:
    """Canonical rows from Parquet, series as Arrow lists whatever wrote them."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path).replace_schema_metadata(None)
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None
    )
    return frame


def _golden(candidate: Path, prepared: Path, most: int) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    examples = Examples.load(prepared / "validation")
    rows = golden.choose(np.asarray(examples.labels), examples.inputs.lengths, most)
    answers = np.load(candidate / "golden_probabilities.npy", allow_pickle=False)
    if len(answers) != len(examples):
        raise ValueError(
            f"{candidate.name}: golden_probabilities.npy has {len(answers)} rows and the "
            f"night {len(examples)}; train the candidate on tonight's rows"
        )
    frame = read_rows(prepared / "rows_validation.parquet").iloc[rows]
    return frame.reset_index(drop=True), answers[rows].astype(np.float32)
