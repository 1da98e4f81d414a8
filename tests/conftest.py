"""What several folders of tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from infra import collecting
from tests.command_line import home_in
from tests.s3_server import s3_server  # noqa: F401 - a fixture

collecting.rarely()  # as the command does, for the same libraries
# a shared machine is slow at times, and that is no failure of what is tested
settings.register_profile("patient", deadline=None)
# a change is judged by the same examples every time; new ones are looked for at the desk
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same" if os.environ.get("CI") else "patient")


# The longest files begin, so that no worker waits at the end for another's last file.
LONGEST_FIRST = (
    "faults/test_killed_nights.py",
    "flows/test_first_night.py",
    "real/test_real_nights.py",
    "integration/test_scheduled_night.py",
    "integration/test_register.py",
    "integration/test_serving.py",
    "integration/test_ray.py",
    "integration/test_platform.py",
    "integration/test_work_pools.py",
    "flows/test_tuned_night.py",
    "flows/test_demonstration.py",
    "integration",
    "flows",
    "contracts",
    "faults",
)


def pytest_collection_modifyitems(items):
    items.sort(key=_turn)


def _turn(item):
    path = Path(item.path).relative_to(Path(__file__).parent).as_posix()
    turns = [at for at, name in enumerate(LONGEST_FIRST) if path.startswith(name)]
    return min(turns, default=len(LONGEST_FIRST))


@pytest.fixture
def home(tmp_path):
    return home_in(tmp_path)
