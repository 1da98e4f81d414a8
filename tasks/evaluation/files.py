"""The evaluation's directory: evaluation.json, one CSV a table, PNG and SVG a picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tasks.evaluation.style import Picture
from tasks.references import Evaluation, Plot

RECORD = "evaluation.json"


def save(
    evaluation: Evaluation, pictures: Sequence[Picture], tables: Mapping[str, pd.DataFrame]
) -> Evaluation:
    """Write everything in place of what the directory held; the record comes last.

    Returns:
        The evaluation with its plots and tables named.
    """
    directory = Path(evaluation.directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for picture in pictures:
        replace(directory / f"{picture.name}.png", picture.png)
        replace(directory / f"{picture.name}.svg", picture.svg.encode())
    for name, table in tables.items():
        replace(directory / f"{name}.csv", table.to_csv(index=False).encode())
    plots = (Plot(name=each.name, title=each.title, alt=each.alt) for each in pictures)
    named = evaluation.model_copy(
        update={"plots": tuple(plots), "tables": tuple(f"{name}.csv" for name in tables)}
    )
    replace(directory / RECORD, named.model_dump_json(indent=2).encode())
    return named


def drawings(evaluation: Evaluation) -> dict[str, str]:
    """Plot name to its SVG, for the report."""
    directory = Path(evaluation.directory)
    return {
        plot.name: (directory / f"{plot.name}.svg").read_text("utf-8") for plot in evaluation.plots
    }


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
