"""Our own log records on the terminal or in a log file: bars, or a line now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import TaskID

OURS = ("flows", "tasks", "expectations", "model_registry", "infra")
QUIET_SECONDS = 5.0

err = Console(stderr=True)


class Display(logging.Handler):
    """Draws progress bars on a terminal; elsewhere writes at most a line every 5 s a subject.

    Args:
        name: Of who speaks, where several do: each line begins with it, and there are no bars.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(logging.INFO)
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._begin = f"{name}: " if name else ""
        self._live = err.is_terminal and not name
        self._bars: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        columns = ("{task.description}", BarColumn(), "{task.completed}/{task.total}")
        self._progress = Progress(
            *columns, TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=err
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Draw or print one record; progress records carry `subject`, `done`, `total`, `note`."""
        if not hasattr(record, "subject"):
            self._print(record, _style(record.levelno))
        elif self._live:
            self._draw(record)
        elif self._due(record):
            self._print(record)

    def _print(self, record: logging.LogRecord, style: str = "") -> None:
        said = escape(self._begin + record.getMessage())
        err.print(said, style=style, highlight=False, soft_wrap=True)

    def _draw(self, record: Any) -> None:
        if record.subject not in self._bars:
            self._progress.start()
            bar = self._progress.add_task(record.subject, total=record.total, note="")
            self._bars[record.subject] = bar
        bar = self._bars[record.subject]
        self._progress.update(bar, completed=record.done, total=record.total, note=record.note)

    def _due(self, record: Any) -> bool:
        now = time.monotonic()
        last = self._said.get(record.subject, -QUIET_SECONDS)
        over = record.total is not None and record.done >= record.total
        if not over and now - last < QUIET_SECONDS:
            return False
        self._said[record.subject] = now
        return True

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bars:
            self._progress.stop()
        super().close()


def _style(level: int) -> str:
    return "red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else "dim"


SHOWN = (Display, logging.NullHandler)  # what `showing` adds


@contextmanager
def showing(*, quiet: bool = False, prepared: bool = True) -> Iterator[None]:
    """Show our own log records until the block ends.

    Args:
        quiet: Show nothing.
        prepared: Set the libraries' environment first, for the servers that are known now.
    """
    from infra.orchestration import prepare
    from infra.settings import Settings

    if prepared:
        prepare(Settings(), console_level="WARNING")
    with _heard(logging.NullHandler() if quiet else Display()):
        yield


@contextmanager
def aloud(name: str) -> Iterator[None]:
    """Show them where no command of ours does: in a process that Prefect started for a run.

    Args:
        name: Each line begins with it, since several runs may write to one log.
    """
    taken = any(isinstance(one, SHOWN) for one in logging.getLogger(OURS[0]).handlers)
    with nullcontext() if taken else _heard(Display(name)):
        yield


@contextmanager
def _heard(handler: logging.Handler) -> Iterator[None]:
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield
    finally:
        handler.close()
        for name in OURS:
            logging.getLogger(name).removeHandler(handler)
