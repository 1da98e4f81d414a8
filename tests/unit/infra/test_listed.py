"""A listing tells size and time of writing, on a folder and on S3."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.local import LocalStorage


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path):
    if request.param == "folder":
        return LocalStorage(tmp_path)
    return request.getfixturevalue("s3_server").storage("home")


def test_size_and_time_of_every_key_below_a_prefix(storage):
    storage.put("snapshots/a.parquet", b"12345")
    storage.put("snapshots/b.parquet", b"")
    storage.put("reports/c.html", b"1")
    found = list(storage.listed("snapshots/"))
    assert [(one.key, one.size) for one in found] == [
        ("snapshots/a.parquet", 5),
        ("snapshots/b.parquet", 0),
    ]
    now = datetime.now(UTC)
    assert all(abs(now - one.written) < timedelta(minutes=5) for one in found)
