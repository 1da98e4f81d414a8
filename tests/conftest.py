"""What several folders of tests share."""

import pytest
from hypothesis import settings

from tests.command_line import home_in
from tests.s3_server import s3_server  # noqa: F401 - a fixture

# a shared machine is slow at times, and that is no failure of what is tested
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def home(tmp_path):
    return home_in(tmp_path)
