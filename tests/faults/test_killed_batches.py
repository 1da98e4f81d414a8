"""kill -9 in the middle of a batch: the rerun goes on and leaves the bytes of an unkilled run."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from infra.settings import Settings
from tests.champions import PIPELINE, pipeline_of, promoted, write_rows
from tests.command_line import home_in

ROWS, PART = 6_000, 500
SCORING = {"part_rows": PART, "max_rejected": 0.2}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = home_in(tmp_path_factory.mktemp("killed-batch"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTURNE_HOME", home.variables["NOCTURNE_HOME"])
        promoted(pipeline_of(), Settings())
        yield home


def test_a_batch_killed_half_way_ends_with_the_bytes_of_one_that_was_not(place):
    from tasks.score import score_batch

    rows = write_rows(place.path / "rows.csv", ROWS, bad_every=10)
    pipeline = pipeline_of(scoring=SCORING)
    unkilled = score_batch.fn(pipeline, str(rows), str(place.path / "whole"))
    parts = _killed_half_way(place, rows)
    assert not (place.path / "out" / "_SUCCESS").exists()
    for part in sorted((place.path / "out").glob("part-*")):
        assert part.read_bytes() == (place.path / "whole" / part.name).read_bytes()
    told = score_batch.fn(pipeline, str(rows), str(place.path / "out"))
    assert told.taken >= parts > 0
    assert (told.rows, told.scored, told.rejected) == (ROWS, ROWS * 9 // 10, ROWS // 10)
    assert unkilled.parts == told.parts == ROWS // PART
    assert _digests(place.path / "out") == _digests(place.path / "whole")


def _killed_half_way(home, rows):
    """Score through the command, and kill it with half of its parts written; returns how many."""
    conf = home.path / "conf.yaml"
    conf.write_text(yaml.safe_dump({**PIPELINE, "scoring": SCORING}))
    command = [sys.executable, "-m", "flows.cli", "score", str(conf), str(rows), "out"]
    notes = home.path / "out" / "_parts"
    with (home.path / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command, cwd=home.path, env=home.environment, stdout=said, stderr=said
        )
    try:
        deadline = time.monotonic() + 300
        while len(list(notes.glob("*.json"))) < ROWS // PART // 2:
            assert process.poll() is None, (home.path / "said.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return len(list(notes.glob("*.json")))


def _digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_file_is_finished_from_the_parts_that_a_dead_run_left(place, ending, monkeypatch):
    from tasks.score import score_batch

    rows = write_rows(place.path / "rows.csv", ROWS, bad_every=10)
    pipeline = pipeline_of(scoring=SCORING)
    target = place.path / f"out.{ending}"
    score_batch.fn(pipeline, str(rows), str(target))
    whole = target.read_bytes()
    shutil.move(target, place.path / f"whole.{ending}")
    monkeypatch.setenv("NOCTURNE_FAILPOINT", "after_part_6:raise")
    with pytest.raises(RuntimeError, match="failpoint"):
        score_batch.fn(pipeline, str(rows), str(target))
    assert not target.exists()
    monkeypatch.delenv("NOCTURNE_FAILPOINT")
    told = score_batch.fn(pipeline, str(rows), str(target))
    assert told.taken == 6
    assert target.read_bytes() == whole
