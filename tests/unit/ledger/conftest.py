import pytest

from tests.faults.promoting import Place, quick_disk


@pytest.fixture(autouse=True)
def _quick():
    with quick_disk():
        yield


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)
