"""A pipeline file, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from tasks.config import ConfigError, Pipeline
from tasks.misfits import explain


def _in_one_line(error: Exception) -> str:
    """What is wrong and where, without the excerpt that YAML draws under it."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    said = f"{problem} in line {mark.line + 1}, column {mark.column + 1}" if mark else str(error)
    return said.partition("\n")[0]


def load_pipeline(path: Path) -> Pipeline:
    """Read and check one pipeline file.

    Raises:
        ConfigError: no such file, no YAML mapping, or keys and values that do not fit.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such pipeline file; `nocturne init` writes one") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {_in_one_line(error)}") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected a mapping of keys, got {content!r:.40}")
    try:
        pipeline = Pipeline.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Pipeline)}") from None
    if pipeline.contract.suite is None:
        return pipeline
    beside = str(path.parent / pipeline.contract.suite)
    contract = pipeline.contract.model_copy(update={"suite": beside})
    return pipeline.model_copy(update={"contract": contract})
