"""A disk that is full: the file before stays whole, and the message names the new one."""

import os
import subprocess
import sys

import pytest

from tests.command_line import ROOT, home_in
from tests.faults.invariants import violations
from tests.faults.nights import TINY, Night, as_if_nothing_had_happened, opened

LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path, content = Path(sys.argv[1]), b"x" * 4000
"""
CHECKPOINT = """
from tasks.training.checkpoints import write
write(path, lambda file: file.write(content))
"""
RECORD = """
from infra.local import LocalStorage
LocalStorage(path.parent).put(path.name, content)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CHECKPOINT, "disk full writing"),
        (RECORD, "the file would be larger than this process may write"),
    ],
)
def test_a_write_that_does_not_fit_leaves_the_file_before_it(tmp_path, code, said):
    path = tmp_path / "model.keras"
    path.write_bytes(b"whole")
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED + code, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert said in ended.stderr
    assert path.name in ended.stderr
    assert path.read_bytes() == b"whole"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


FULL = """
import resource, sys
if {module!r} in sys.orig_argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.RLIM_INFINITY))
"""


def without_room(night, module, most):
    """The night, with files of at most so many bytes for a module's process and its children."""
    folder = night.home.path / f"without room for {module}"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FULL.format(module=module, most=most))
    return night.run(PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")


@pytest.mark.slow
def test_a_night_without_room_says_so_and_goes_on_where_there_is_some(tmp_path):
    home = home_in(tmp_path)
    night = Night(home, home.write(TINY))
    models = without_room(night, "tasks.candidates.worker", 4_000)
    assert models.returncode == 1, models.stderr
    assert "disk full writing" in night.record()["reason"]
    databases = without_room(night, "flows.cli", 100_000)
    assert databases.returncode == 1, databases.stderr
    assert "Prefect's server answered 500" in databases.stderr
    log = night.place / "prefect-server.log"
    assert log.name in databases.stderr
    assert "disk I/O error" in log.read_text()  # SQLite's word for a file that may not grow
    again = night.run()
    assert again.returncode == 0, again.stderr
    as_if_nothing_had_happened(night)
    assert violations(*opened(night)) == []
