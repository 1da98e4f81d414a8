"""What the command line shows: progress while it runs, tables at the end, errors in one line.

Only the standard library, Typer and Rich are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.display import err

if TYPE_CHECKING:
    from tasks.references import Night

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
PROSE = 30  # longer cells are prose
NUMBER = re.compile(r"[-+]?[\d.,]*\s?(%|B|kB|MB|GB|s|ms)?|–")

out = Console()


class Refused(RuntimeError):
    """A contract or a gate said no; exit code 3."""


@contextmanager
def told_once(*expected: type[Exception]) -> Iterator[None]:
    """Keep Prefect from printing the traceback of ends that the verb itself tells in words."""

    def other(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], expected))

    handlers = logging.getLogger().handlers[:]  # the console; its API hears everything
    for handler in handlers:
        handler.addFilter(other)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(other)


@contextmanager
def exit_codes(*, as_json: bool = False) -> Iterator[None]:
    """Turn every error into one clear line and the exit code that says its kind.

    `NOCTURNE_DEBUG=1` shows the traceback as well.
    """
    from pydantic import ValidationError

    from infra.settings import Settings
    from tasks.config import ConfigError
    from tasks.misfits import explain

    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        _fail("interrupted", FAILED, as_json=as_json)
    except Refused as error:
        _fail(str(error), REFUSED, as_json=as_json)
    except ConfigError as error:
        _fail(str(error), USAGE, as_json=as_json)
    except ValidationError as error:
        _fail(explain(error, Settings, "NOCTURNE_"), USAGE, as_json=as_json)
    except Exception as error:
        if os.environ.get("NOCTURNE_DEBUG"):
            raise
        code = getattr(error, "exit_code", FAILED)
        _fail(str(error) or type(error).__name__, code, as_json=as_json)


def _fail(message: str, code: int, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": message, "exit_code": code}) + "\n")
    else:
        word = "refused" if code == REFUSED else "error"
        err.print(f"[bold red]{word}:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def answer(value: Any, *, as_json: bool, table: Callable[[], None]) -> None:
    """Print a result: as one JSON document for scripts, or as a table for people."""
    if as_json:
        sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
        sys.stdout.flush()  # a verb that goes on serving answers too
    else:
        table()


def grid(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """One table on standard output: numbers align right, prose is wrapped.

    Where the screen is too narrow for prose in a column, it stands below its row.
    """
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    widths = [max(map(len, (name, *column))) for name, column in zip(columns, cells, strict=True)]
    prose = [at for at, width in enumerate(widths) if width > PROSE]
    short = [at for at in range(len(columns)) if at not in prose]
    if sum(widths[at] + 3 for at in short) + (PROSE + 3) * len(prose) > out.width:
        _listed(title, columns, rows, {at: widths[at] for at in short})
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, column in zip(columns, cells, strict=True):
        numbers = all(map(NUMBER.fullmatch, column))
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)


def _listed(
    title: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    short: Mapping[int, int],
) -> None:
    """The same without lines: what is short in columns of these widths, the rest below."""

    def head(row: tuple[str, ...]) -> str:
        return "  ".join(row[at].ljust(width) for at, width in short.items())

    out.print(Text(title, "italic"))
    out.print(Text(head(columns), "bold"))
    for row in rows:
        out.print(Text(head(row)))
        for cell in (cell for at, cell in enumerate(row) if at not in short and cell):
            out.print(Padding(Text(cell), (0, 0, 0, 4), expand=False))


def say(sentence: str) -> None:
    """A sentence, wrapped between words on a screen; paths stay whole, to be copied."""
    if out.is_terminal:
        margin = " " * (len(sentence) - len(sentence.lstrip()) + 2)
        sentence = textwrap.fill(
            sentence,
            out.width,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
    out.print(sentence, highlight=False, soft_wrap=True)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line; what has no value says nothing."""
    for name, value in facts.items():
        if value is not None and value != "":
            say(f"[bold]{name.replace('_', ' ')}[/]: {escape(str(value))}")


def number(value: float | None) -> str:
    """Four decimals, or a dash where there is nothing."""
    return "–" if value is None else f"{value:.4f}"


def size(count: int) -> str:
    """Bytes in words: 1.2 GB."""
    for unit, least in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def overview_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Many pipelines, a row each; what cannot be read is said below."""
    whole = [row for row in rows if "broken" not in row]
    grid(
        f"{len(rows)} pipelines",
        ("pipeline", "champion", "since", "last night", "outcome", "metric", "next night due"),
        [
            (
                row["pipeline"],
                f"v{row['champion']}" if row["champion"] else "none yet",
                (row["since"] or "")[:10],
                row["last_night"] or "",
                row["outcome"] or "",
                f"{number(row['value'])} {row['metric']}" if row["value"] is not None else "",
                row["due"][:16],
            )
            for row in whole
        ],
    )
    for row in whole:
        if row["waiting"]:
            waiting = ", ".join(f"v{version}" for version in row["waiting"])
            say(f"{row['pipeline']}: {waiting} for `nocturne approve` or `nocturne reject`")
        if row["outcome"] == "failed":
            say(f"[red]{escape(row['pipeline'])}[/]: {escape(row['reason'])}")
    for row in rows:
        if "broken" in row:
            say(f"[red]{escape(row['broken'])}[/]")
    for reason in {row["prefect_silent"] for row in rows if row["prefect_silent"]}:
        say(f"[yellow]next night due[/]: {escape(reason)}")


def night_table(night: Night, metric: str) -> None:
    """How a night ended: candidates, metrics, gates, version and where the report lies."""
    rows = [
        (
            ("→ " if trained.name == night.challenger else "  ") + trained.name,
            trained.failed or number(trained.validation.get(metric)),
            number(trained.test.get(metric)),
            number(trained.test.get("accuracy")),
            f"{trained.seconds:.0f}",
        )
        for trained in night.candidates
    ]
    if rows:
        title = f"{night.pipeline}, night {night.logical_date}"
        columns = ("candidate", f"validation {metric}", f"test {metric}", "test accuracy", "s")
        grid(title, columns, rows)
    for gate in night.verdict.gates if night.verdict else ():
        mark = "[green]✓[/]" if gate.passed else "[red]✗[/]"
        say(f"{mark} {gate.gate}: {escape(gate.sentence)}")
    facts: Mapping[str, str | None] = {
        "outcome": f"{night.outcome}: {night.reason}",
        "version": night.version and f"v{night.version} ({night.stage})",
        "champion before": night.champion_before and f"v{night.champion_before}",
        "probation": night.probation.reason if night.probation else None,
        "search": night.tuned.reason if night.tuned else None,
        "report": night.report,
        "seconds": ", ".join(f"{step} {spent:.0f}" for step, spent in night.seconds.items()),
    }
    show_facts(facts)
