"""Somebody's data to a pipeline file in which every value is explained, and a suite to review."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from expectations.inference import infer_suite
from tasks.annotated import annotated_yaml, comment
from tasks.config import Choice, Columns, ConfigError, Pipeline
from tasks.datasets.canonical import canonical, end_of, table_of
from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.errors import DataError
from tasks.datasets.guessing import Given, Guess, guess_columns
from tasks.datasets.looking import Counted, look_at, thinned
from tasks.datasets.profile import Profile, profile
from tasks.datasets.proposals import propose
from tasks.datasets.reading import tables
from tasks.datasets.written import looked_at
from tasks.misfits import explain, unknown
from tasks.terms import terms_of

READER_OF = {
    ".csv": Choice(name="csv"),
    ".tsv": Choice(name="csv", options={"delimiter": "\t"}),
    ".parquet": Choice(name="parquet"),
    ".pq": Choice(name="parquet"),
    ".jsonl": Choice(name="jsonl"),
    ".ndjson": Choice(name="jsonl"),
}
PLAIN_NAMES = ("data", "dataset", "train", "series", "rows", "text", "texts", "export")


@dataclass(frozen=True)
class Options:
    """What `nocturne init` was asked for.

    Attributes:
        data: CSV, Parquet or JSON Lines, kept in the pipeline file as it is given here: a
            relative path is relative to the folder in which nights run.
        given: Which columns the person named.
        labels: Second file with id and label.
        unlabelled: File of rows without labels.
        name: Of the pipeline; from the file's name where absent.
    """

    data: Path
    given: Given = field(default_factory=Given)
    labels: Path | None = None
    unlabelled: Path | None = None
    name: str | None = None


@dataclass(frozen=True)
class Draft:
    """A pipeline to review.

    Attributes:
        name: Of the pipeline: it belongs in `conf/NAME.yaml`.
        yaml_text: The pipeline file, commented.
        suite: Great Expectations suite, for the file that `suite_name` names, beside it.
        suite_name: `NAME.suite.json`.
        profile: What was seen.
        looked_at: Rows that it comes from; of many some, the rest is counted.
        guesses: What was guessed, and what is only suggested.
    """

    name: str
    yaml_text: str
    suite: dict[str, Any]
    suite_name: str
    profile: Profile
    looked_at: int
    guesses: tuple[Guess, ...]


def initialise(options: Options) -> Draft:
    """Look at the data and draft a pipeline that reads it.

    Raises:
        ConfigError: a file, flag or column that does not fit; the message says what would.
    """
    try:
        return _initialise(options)
    except DataError as error:
        raise ConfigError(str(error)) from None


def _initialise(options: Options) -> Draft:
    written: list[Guess] = []
    readers = {"reader": _reader(options.data, written)}
    if options.labels:
        readers["labels"] = _reader(options.labels, written)
    table, every = thinned(tables(readers["reader"], None))
    if not table.num_rows:
        raise ConfigError(
            f"{options.data}: 0 rows; name a file that has some, or see whether its export failed"
        )
    labels = table_of(readers["labels"], None) if options.labels else None
    columns, guesses = guess_columns(table, labels, options.given)
    if options.unlabelled:
        readers["unlabelled"] = _reader(options.unlabelled, written)
        _check_unlabelled(readers["unlabelled"], columns, options.unlabelled)
    guesses = (*written, *guesses)
    bare = _pipeline(
        {
            "name": _name(options),
            "source": readers,
            "columns": columns,
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        }
    )
    if every > 1:
        return _drafted(bare, *look_at(bare, every), guesses)
    frame, counted = canonical(table, bare, labels), Counted()
    counted.add(frame)
    return _drafted(bare, frame, counted, guesses)


def _drafted(
    bare: Pipeline, frame: pd.DataFrame, counted: Counted, guesses: tuple[Guess, ...]
) -> Draft:
    """The draft from the rows that were looked at, and what was counted over all."""
    as_of = _as_of(counted)
    looked = profile(frame, terms_of(bare, as_of))
    seen = counted.told(looked, looked)
    _refuse_labels(seen, bare.columns)
    rows, _ = without_duplicates(frame)
    taken = counted.told(profile(rows, terms_of(bare, as_of)), looked)
    parts, notes = propose(bare, taken, rows, repeated=seen.duplicates / seen.rows)
    pipeline = _pipeline({**bare.model_dump(), **parts})
    lines = [
        f"Drafted by `nocturne init` from {seen.rows:,} rows; every value may be changed.",
        "What the data must be is also asked by the suite that `contract.suite` names.",
    ]
    if len(frame) < seen.rows:
        lines[0] += f" Closely looked at were {len(frame):,} of them."
    for guess in guesses:
        what = "Guessed" if guess.used else "Seen"
        lines.append(f"{what}: {guess.part}: {guess.column} ({guess.reason}).")
    head = [part for line in lines for part in comment(line)]
    yaml_text = "\n".join([*head, annotated_yaml(pipeline, notes)])
    clean = rows[rows["label"].notna()]
    suite = infer_suite(clean, terms_of(pipeline, as_of))
    named = f"{pipeline.name}.suite.json"
    return Draft(pipeline.name, yaml_text, suite, named, seen, len(frame), guesses)


def _reader(path: Path, guesses: list[Guess]) -> Choice:
    """The reader of a file; how a CSV file is written is looked at, and what was seen is said."""
    choice = READER_OF.get(path.suffix.lower())
    if path.is_dir():
        choice = _reader_of_folder(path)
    if choice is None:
        known = ", ".join(READER_OF)
        raise ConfigError(f"{path}: its name must end in one of {known}; got {path.suffix!r}")
    if not path.exists():
        raise ConfigError(f"{path}: no such file; name the file with the rows")
    found = choice.options
    if choice.name == "csv":
        found, said = looked_at(path, found.get("delimiter", ","))
        guesses += said
    return Choice(name=choice.name, options={"path": str(path), **found})


def _reader_of_folder(path: Path) -> Choice:
    """Of the parts of one table; other files are to be named one by one."""
    parts = (one.relative_to(path).parts for one in path.rglob("*.parquet"))
    if any(not name.startswith((".", "_")) for names in parts for name in names[:1]):
        return READER_OF[".parquet"]
    files = sorted(one for one in path.iterdir() if one.suffix.lower() in READER_OF)
    named = ", ".join(str(one) for one in files[:5]) or "there is none"
    raise ConfigError(
        f"{path}: the folder holds no Parquet file; name a data file instead: {named}"
    )


def _check_unlabelled(choice: Choice, columns: Columns, path: Path) -> None:
    there = next(tables(choice, None)).column_names
    for name in columns.inputs:
        if name not in there:
            raise ConfigError(
                f"--unlabelled {path}: " + unknown("column", name, there)
                + "; it needs the same input column as the labelled rows"
            )  # fmt: skip


def _refuse_labels(seen: Profile, columns: Columns) -> None:
    name, count = columns.label, len(seen.classes)
    if count < 2:
        only = f"only {seen.classes[0][0]!r}" if count else "no value at all"
        raise ConfigError(f"--label {name}: {only} in {seen.rows:,} rows; two classes are needed")
    if count > seen.rows / 2:
        raise ConfigError(
            f"--label {name}: {count:,} different values in {seen.rows:,} rows are no classes; "
            "name the column of the class"
        )


def _name(options: Options) -> str:
    if options.name is not None:
        return options.name
    path = options.data.absolute()
    stem = path.parent.name if path.stem.lower() in PLAIN_NAMES else path.stem
    plain = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:64]
    return plain or "pipeline"


def _as_of(counted: Counted) -> datetime:
    newest = counted.newest
    return end_of(date(2000, 1, 1) if newest is None else newest.astimezone(UTC).date())


def _pipeline(content: Mapping[str, Any]) -> Pipeline:
    from pydantic import ValidationError

    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Pipeline)) from None
