"""A disk that is full: the file before stays whole, and the message names the new one."""

import subprocess
import sys

import pytest

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
