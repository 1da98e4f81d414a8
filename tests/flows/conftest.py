"""One first night for all tests that look at one."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.command_line import SMALL_PIPELINE, Answer, Home, home_in


@dataclass(frozen=True)
class FirstNight:
    home: Home
    conf: str
    answer: Answer

    @property
    def record(self) -> Any:
        return self.answer.json


@pytest.fixture(scope="session")
def first_night(tmp_path_factory):
    home = home_in(tmp_path_factory.mktemp("first-night"))
    conf = home.write(SMALL_PIPELINE)
    answer = home.nocturne("retrain", conf, "--date", "2026-03-01", "--json")
    assert answer.code == 0, answer.out + answer.err
    return FirstNight(home, conf, answer)
