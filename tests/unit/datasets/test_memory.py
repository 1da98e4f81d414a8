"""Ten times the rows do not need ten times the memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import compute as pc
from pyarrow import parquet

FEW, MANY = 20_000, 200_000
WORDS = 50  # of eight letters with their spaces

CHILD = """
import sys
from datetime import date
from pathlib import Path
from infra.storage import LocalStorage
from tasks.datasets import intake
from tasks.prepare import prepared_in
from tests.rows import pipeline_of, small_parts

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) // 1024

home, source = map(Path, sys.argv[1:])
reader = {"name": "parquet", "options": {"path": str(source)}}
columns, split = {"id": "id", "text": "text", "label": "topic"}, {"near_duplicates": 1}
pipeline = pipeline_of(columns, reader=reader, split=split)
storage = LocalStorage(home / "store")
with small_parts(2_000, 2_000_000):
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    snapshot = intake.take_in(pipeline, date(2026, 3, 20), storage)
    taken = status("VmHWM") - before
    Path("/proc/self/clear_refs").write_text("5")
    prepared_in(home / "prepared", pipeline, snapshot, storage)
    print(taken, status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_texts(tmp_path):
    few, many = (_peaks(tmp_path / str(rows), rows) for rows in (FEW, MANY))
    texts = (MANY - FEW) * WORDS * 8 / 2**20  # megabytes
    for stage, one, other in zip(("ingest", "prepare"), few, many, strict=True):
        assert other < one + 0.7 * texts, (stage, few, many)


def _peaks(home, rows):
    """Megabytes of ingest and of prepare above what is there before, in a process of its own."""
    home.mkdir()
    known = pa.array([f"word{number:03}" for number in range(1_000)])
    words = known.take(pa.array(np.random.default_rng(0).integers(0, 1_000, rows * WORDS)))
    ends = np.arange(rows + 1) * WORDS
    texts = pc.binary_join(pa.ListArray.from_arrays(ends.astype(np.int32), words), " ")
    labels = pa.array(np.resize(["a", "b"], rows))
    table = pa.table({"id": pa.array(range(rows)), "text": texts, "topic": labels})
    parquet.write_table(table, home / "rows.parquet", row_group_size=2_000)
    command = [sys.executable, "-c", CHILD, str(home), str(home / "rows.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(number) for number in said.split()]
