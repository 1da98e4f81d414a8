"""The verbs beside the night: Production over a batch, and what live inputs look like."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flows import console
from flows.console import answer, exit_codes, show_facts, showing
from flows.options import Json, pipeline_of

app = typer.Typer()

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="INPUT",
        help="File, folder, s3://bucket/prefix, or a SELECT; scoring.input if not given.",
    ),
]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="OUTPUT",
        help="File; folder or s3://bucket/prefix for parts; scoring.output if not given.",
    ),
]
Day = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Logical date.")]


@app.command()
def score(
    conf: Path,
    source: Source = None,
    target: Target = None,
    day: Day = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also what an earlier run finished.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let Production score a batch: label, every class's probability, model version and digest.

    A folder or s3:// prefix as OUTPUT gets parts that appear whole and `_SUCCESS` last; a run
    that was killed goes on where it was. Rows that cannot be scored go to `OUTPUT.rejects.csv`,
    or to `_rejects/`, each with its reason; exit code 3 where they are more than
    `scoring.max_rejected`.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.scoring import score_file

        date = day.date() if day else None
        result = score_file(pipeline_of(conf), source, target, date, force=force)
        facts = result.model_dump(mode="json")
        answer(facts, as_json=as_json, table=lambda: show_facts(facts))
        if result.refused:
            raise typer.Exit(console.REFUSED)
