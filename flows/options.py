"""What several verbs take: the pipeline file, JSON instead of a table, who asks and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.config import Pipeline

DEFAULT = Path("conf/support_tickets.yaml")
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
    from tasks.pipeline_file import load_pipeline

    pipeline = load_pipeline(conf)
    check(pipeline)
    return pipeline
