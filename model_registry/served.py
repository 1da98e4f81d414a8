"""A bundle as an MLflow model that anybody who trusts it can load and serve.

MLflow runs the code it finds beside such a model, so Nocturne itself never loads one this way;
the code is here for `mlflow.pyfunc.load_model` and `mlflow models serve` of other people.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServedModel:
    """What MLflow needs beside the bundle.

    Attributes:
        entry: Python file that calls `mlflow.models.set_model`; it reads the artifact `bundle`.
        packages: Folders of code that the entry imports; put on the path when loaded.
        requirements: Exact pins, `name==version`; never inferred.
        inputs: Column of the raw row to type: `string`, `float`, `array` of doubles, or `arrays`.
        outputs: Column to type, likewise.
    """

    entry: Path
    packages: tuple[Path, ...]
    requirements: tuple[str, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def save_served(path: Path, bundle: Path, served: ServedModel, logged: Any) -> Path:
    """Write the MLflow model directory.

    Args:
        path: The directory to make.
        bundle: The sealed bundle, which becomes `artifacts/bundle`.
        served: What MLflow needs beside it.
        logged: MLflow's logged model that the directory will be the content of.
    """
    named = Path(shutil.copytree(bundle, path.with_name("bundle")))  # MLflow keeps its last name
    with warnings.catch_warnings():  # importing it warns about MLflow's own type hints
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        from mlflow.models import Model

        mlflow.pyfunc.save_model(
            str(path),
            python_model=str(served.entry),
            artifacts={"bundle": str(named)},
            code_paths=[str(package) for package in served.packages],
            signature=_signature(served),
            pip_requirements=list(served.requirements),
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
                run_id=logged.source_run_id,
            ),
        )
    for cache in path.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    return path


def _signature(served: ServedModel) -> Any:
    from mlflow.models import ModelSignature

    return ModelSignature(inputs=_schema(served.inputs), outputs=_schema(served.outputs))


def _schema(columns: Mapping[str, str]) -> Any:
    from mlflow.types.schema import Array, ColSpec, DataType, Schema

    kinds = {"array": Array(DataType.double), "arrays": Array(Array(DataType.double))}
    return Schema([ColSpec(kinds.get(kind, kind), name) for name, kind in columns.items()])
