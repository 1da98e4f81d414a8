"""The code a bundle needs to answer, copied under a name of its own for MLflow to carry.

A model saved tonight must load in a year, beside models of other nights and whatever this
project's packages have become. So the modules that inference needs are copied into a package
named after their content: equal code has an equal name, other code another one.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from model_registry.served import ServedModel

ROOT = Path(__file__).parents[2]
OURS = ("tasks", "model_registry")
START = "tasks.inference.raw"
REQUIREMENTS = (
    "cryptography",
    "h5py",
    "keras",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "scikit-learn",
    "simplemma",
    "snowballstemmer",
    "tensorflow",
    "tokenizers",
)
ENTRY = '''"""How MLflow asks a Nocturne bundle; whoever loads it so, runs the code beside it."""

from pathlib import Path

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Served(PythonModel):
    """Raw rows in; label and every class's probability out."""

    def load_context(self, context):
        from {package}.tasks.inference.raw import RawClassifier

        self.classifier = RawClassifier.load(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return self.classifier.predict(model_input)


set_model(Served())
'''


def served_model(bundle: Path, into: Path) -> ServedModel:
    """Write what MLflow needs beside a bundle, and say what it takes and gives.

    Args:
        bundle: A sealed bundle.
        into: Folder for the code; made where absent.
    """
    into.mkdir(parents=True, exist_ok=True)
    package = write_runtime(into)
    entry = into / "served.py"
    entry.write_text(ENTRY.format(package=package.name), "utf-8")
    labels, pipeline, preprocessor = (
        json.loads((bundle / f"{name}.json").read_text("utf-8"))
        for name in ("labels", "pipeline", "preprocessor")
    )
    answers = {f"probability_{name}": "float" for name in labels}
    return ServedModel(
        entry=entry,
        packages=(package,),
        requirements=requirements(),
        inputs=_inputs(pipeline["columns"], preprocessor),
        outputs={"label": "string", **answers},
    )


def requirements() -> tuple[str, ...]:
    """Exact pins of what the copied code imports, as installed here."""
    return tuple(f"{name}=={metadata.version(name)}" for name in REQUIREMENTS)


def write_runtime(into: Path) -> Path:
    """Copy the modules that inference needs into a package named after their content.

    Returns:
        The package's folder, `into/nocturne_runtime_DIGEST`.
    """
    modules = closure(START)
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode() + b"\0" + modules[name].encode() + b"\0")
    package = into / f"nocturne_runtime_{digest.hexdigest()[:12]}"
    for name, source in modules.items():
        path = package.joinpath(*name.split("."))
        path = path / "__init__.py" if _folder(name) else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_moved(source, package.name), "utf-8")
    for folder in {package, *(p.parent for p in package.rglob("*.py"))}:
        (folder / "__init__.py").touch()
    return package


def closure(start: str) -> dict[str, str]:
    """The named module and every module of ours it imports, anywhere in its code: its source.

    The `__init__` of a package is among them only if a name is taken from it, so that its
    table does not bring everything along.
    """
    found: dict[str, str] = {}
    pending = [start]
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = _file(name).read_text("utf-8")
            pending += _imported(found[name])
    return found


def _imported(source: str) -> list[str]:
    """Modules of ours that a source imports outside `if TYPE_CHECKING:`."""
    found: list[str] = []
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            inner = {name.name: f"{node.module}.{name.name}" for name in node.names}
            modules = {name: path for name, path in inner.items() if _exists(path)}
            found += modules.values()
            if len(modules) < len(inner):
                found.append(node.module)
        pending.extend(ast.iter_child_nodes(node))
    return found


def _moved(source: str, package: str) -> str:
    """The source with imports of ours taken from the package it now lies in."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = re.sub(r"\bfrom\s+", f"from {package}.", line, count=1)
    return "".join(lines)


def _ours(module: str) -> bool:
    return module.partition(".")[0] in OURS


def _exists(name: str) -> bool:
    return _file(name).is_file()


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _folder(name: str) -> bool:
    return _file(name).name == "__init__.py"


def _inputs(columns: dict[str, Any], preprocessor: dict[str, Any]) -> dict[str, str]:
    """Raw column to MLflow's type: text, a list a channel, or one list of steps."""
    if columns["text"]:
        return {columns["text"]: "string"}
    several = len(columns["sequence"]) == 1 and len(preprocessor["center"]) > 1
    return dict.fromkeys(columns["sequence"], "arrays" if several else "array")
