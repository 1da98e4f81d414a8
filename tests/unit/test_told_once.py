"""An end that a verb tells in words is not also printed as a traceback; any other is."""

import logging

import pytest

from flows.console import told_once


class Expected(Exception):
    """Told by the verb."""


class Heard(logging.Handler):
    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture
def console():
    handler, root = Heard(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def broke(error):
    try:
        raise error
    except Exception:
        logging.getLogger("prefect.flow_runs").exception("it broke: %r", error)


# Where an earlier test set up Prefect's logging, its handler misses the flow of these lines.
@pytest.mark.filterwarnings("ignore:Logger 'prefect.flow_runs' attempted:UserWarning")
def test_only_the_expected_end_is_kept_off_the_console_and_only_meanwhile(console):
    with told_once(Expected):
        broke(Expected("a refusal"))
        broke(ValueError("a fault"))
        logging.getLogger("prefect.flow_runs").error("a line")
    broke(Expected("later"))
    assert console.said == [
        "it broke: ValueError('a fault')",
        "a line",
        "it broke: Expected('later')",
    ]
