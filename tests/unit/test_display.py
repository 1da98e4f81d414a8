"""Who shows our log records: a command, or a run that Prefect started and no command shows."""

import logging

import pytest

from flows import display
from tasks import progress

logger = logging.getLogger("tasks.trial")


@pytest.fixture(autouse=True)
def as_before():
    """Leave the loggers as they were."""
    loggers = [logging.getLogger(name) for name in display.OURS]
    were = [(one.level, one.propagate, one.handlers[:]) for one in loggers]
    yield
    for one, (level, propagate, handlers) in zip(loggers, were, strict=True):
        one.setLevel(level)
        one.propagate, one.handlers = propagate, handlers


def test_a_run_speaks_with_its_name_where_nobody_else_shows_it(capsys):
    with display.aloud("tickets"):
        logger.info("12 [rows]")
    logger.info("afterwards")
    assert capsys.readouterr().err == "tickets: 12 [rows]\n"


def test_progress_is_a_line_in_five_seconds_and_the_last(capsys):
    with display.aloud("tickets"):
        for done in range(1, 10):
            progress.report("words", done, 9, "epoch")
    said = capsys.readouterr().err.splitlines()
    assert said == ["tickets: words: 1 of 9 epoch", "tickets: words: 9 of 9 epoch"]


@pytest.mark.parametrize(("quiet", "lines"), [(False, ["once"]), (True, [])])
def test_a_command_shows_it_once_or_keeps_it_quiet(capsys, quiet, lines):
    with display.showing(quiet=quiet, prepared=False), display.aloud("tickets"):
        logger.info("once")
    assert capsys.readouterr().err.splitlines() == lines


def test_the_run_inside_a_run_adds_no_line(capsys):
    with display.aloud("tickets"), display.aloud("tickets"):
        logger.info("once")
    assert capsys.readouterr().err == "tickets: once\n"
