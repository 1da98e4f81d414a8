"""A pipeline file, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.config import ConfigError, Pipeline
from tasks.misfits import explain

FOLDER = Path("conf")
DATA = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson")


def _in_one_line(error: Exception) -> str:
    """What is wrong and where, without the excerpt that YAML draws under it."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    said = f"{problem} in line {mark.line + 1}, column {mark.column + 1}" if mark else str(error)
    return said.partition("\n")[0]


def found(given: Path) -> Path:
    """The file that a person means: as it is given, else a bare name in `conf/`.

    Raises:
        ConfigError: nothing there, a folder, or data; the message says what to type instead.
    """
    if given.is_file():
        if given.suffix.lower() in DATA:
            raise ConfigError(
                f"{given}: is data, not a pipeline file; `nocturne init {given}` writes one for it"
            )
        return given
    bare = given.name == str(given)
    for name in (given.name, f"{given.name}.yaml") if bare else ():
        if (FOLDER / name).is_file():
            return FOLDER / name
    held = given if given.is_dir() else FOLDER
    there = ", ".join(str(one) for one in sorted(held.glob("*.yaml"))) or "none"
    if given.is_dir():
        raise ConfigError(f"{given}: is a folder, not a pipeline file; in it there are: {there}")
    raise ConfigError(
        f"{given}: no such pipeline file{', nor in conf/' if bare else ''}; there are: {there}; "
        "`nocturne init DATA` writes one"
    )


def mapping_in(path: Path) -> Mapping[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: no such file, or no YAML mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; look at its name and folder") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {_in_one_line(error)}") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected a mapping of keys, got {content!r:.40}")
    return content


def load_pipeline(path: Path) -> Pipeline:
    """Read and check one pipeline file; a bare name is also looked for in `conf/`.

    Raises:
        ConfigError: no such file, no YAML mapping, or keys and values that do not fit.
    """
    path = found(path)
    content = mapping_in(path)
    try:
        pipeline = Pipeline.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Pipeline)}") from None
    if pipeline.contract.suite is None:
        return pipeline
    beside = str(path.parent / pipeline.contract.suite)
    contract = pipeline.contract.model_copy(update={"suite": beside})
    return pipeline.model_copy(update={"contract": contract})
