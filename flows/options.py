"""What several verbs take: pipeline files, JSON instead of a table, who asks and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.config import Pipeline

DEFAULT = Path("conf/support_tickets.yaml")
DEMONSTRATION = "NOCTURNE_DEMO_"  # set by `nocturne demo` alone, for a platform of its own
Conf = Annotated[
    Path, typer.Argument(help="Pipeline file, or its name in conf/.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document for scripts.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
By = Annotated[str | None, typer.Option(help="Who asks; the system's user name.")]


def place_of(key: str) -> str:
    """Where a key of the store lies, as it can be opened."""
    from infra.settings import Settings
    from infra.storage import open_storage

    return f"{open_storage(Settings()).uri}/{key}"


def pipeline_of(conf: Path) -> Pipeline:
    """The pipeline of a file, every name in it known."""
    from tasks.choices import check
    from tasks.config import ConfigError
    from tasks.pipeline_file import load_pipeline

    pipeline = load_pipeline(conf)
    try:
        check(pipeline)
    except ConfigError as error:
        raise ConfigError(f"{conf}: {error}") from None
    return pipeline


def pipelines_of(confs: Sequence[Path]) -> list[Pipeline]:
    """The pipelines of files and folders, in that order.

    Raises:
        ConfigError: a file that is broken, two pipelines of one name, or a folder without any.
    """
    from tasks.config import ConfigError

    chosen: dict[str, Path] = {}
    pipelines = []
    for path, pipeline in _each(confs):
        if pipeline.name in chosen:
            raise ConfigError(f"{path}: {chosen[pipeline.name]} has the same name")
        chosen[pipeline.name] = path
        pipelines.append(pipeline)
    return pipelines


def _each(confs: Sequence[Path]) -> Iterator[tuple[Path, Pipeline]]:
    """Of a folder all but what `nocturne demo` alone can run."""
    from tasks.config import ConfigError

    for conf in confs:
        files = sorted(conf.glob("*.yaml")) if conf.is_dir() else [conf]
        if not files:
            raise ConfigError(f"{conf}: holds no pipeline file; `nocturne init DATA` writes one")
        for path in files:
            pipeline = pipeline_of(path)
            aside = any(name.startswith(DEMONSTRATION) for name in asked_by(pipeline))
            if path is conf or not aside:
                yield path, pipeline


def asked_by(pipeline: Pipeline) -> list[str]:
    """Variables that the source of a pipeline asks for."""
    return re.findall(r"\$\{(\w+)\}", str(pipeline.source.reader.options))
