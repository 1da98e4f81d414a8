"""Batches by a real version in Production: parts, marks, rejects, S3, and versions that change."""

import json
import shutil
import socket
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from infra.settings import Settings
from infra.storage import open_storage
from tasks import live_inputs
from tasks.config import ConfigError
from tasks.datasets.errors import DataError
from tasks.lease import StillRunning, holding_batch
from tasks.score import score_batch
from tests.champions import CLASSES, pipeline_of, promoted, write_rows

DAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("batches")
    (folder / ".nocturne").mkdir()
    shutil.copy(empty_store, folder / ".nocturne" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTURNE_HOME", str(folder / ".nocturne"))
        version = promoted(pipeline_of(), Settings())
        assert version.version == "1"
        yield folder


def parts_of(folder):
    return sorted(Path(folder).glob("part-*"))


def manifest_of(folder, name="_SUCCESS"):
    return json.loads((Path(folder) / name).read_text())


def pipeline(**scoring):
    return pipeline_of(scoring={"part_rows": 100, **scoring})


def test_a_folder_gets_whole_parts_and_its_mark_last(home, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 250, bad_every=50)
    told = score_batch.fn(pipeline(max_rejected=0.1), str(rows), str(tmp_path / "out"), DAY)
    assert (told.rows, told.scored, told.rejected, told.parts) == (250, 245, 5, 3)
    found = pd.concat([pd.read_parquet(part) for part in parts_of(tmp_path / "out")])
    assert found.columns.tolist() == [
        "ticket", "label", *(f"probability_{name}" for name in CLASSES), "version", "digest",
    ]  # fmt: skip
    good = [f"t0-{number}" for number in range(250) if number % 50 != 49]
    assert found["ticket"].tolist() == good
    assert set(found["version"]) == {told.version}
    assert set(found["digest"]) == {told.digest}
    said = manifest_of(tmp_path / "out")
    assert (said["rows"], said["digest"]) == (250, told.digest)
    assert list(said["parts"]) == [part.name for part in parts_of(tmp_path / "out")]
    rejects = pd.concat([pd.read_csv(tmp_path / "out" / name) for name in said["rejects"]])
    assert rejects["ticket"].tolist() == [f"t0-{number}" for number in range(49, 250, 50)]
    assert set(rejects["reason"]) == {"text is missing"}


def test_a_finished_batch_is_not_scored_again_unless_it_is_asked_for(home, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 150)
    asked = (pipeline(), str(rows), str(tmp_path / "out"), DAY)
    first = score_batch.fn(*asked)
    before = {part.name: part.stat().st_ino for part in parts_of(tmp_path / "out")}
    again = score_batch.fn(*asked)
    assert (again.taken, again.rows, again.scored) == (2, first.rows, first.scored)
    assert before == {part.name: part.stat().st_ino for part in parts_of(tmp_path / "out")}
    write_rows(rows, 90, seed=3)  # the input changed
    changed = score_batch.fn(*asked)
    assert (changed.taken, changed.rows) == (0, 90)
    assert len(parts_of(tmp_path / "out")) == 1
    assert score_batch.fn(*asked, fresh=True).taken == 0


def test_a_target_is_written_by_one_run_at_a_time(home, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 10)
    target = tmp_path / "out"
    storage = open_storage(Settings())
    place = f"{socket.gethostname()}:{target}"
    with holding_batch(pipeline().name, DAY, place, storage):
        with pytest.raises(StillRunning, match=f"the batch to {place} is still running") as told:
            score_batch.fn(pipeline(), str(rows), str(target), DAY)
        assert told.value.exit_code == 3
        assert not target.exists()
        score_batch.fn(pipeline(), str(rows), str(tmp_path / "other"), DAY)
    assert score_batch.fn(pipeline(), str(rows), str(target), DAY).rows == 10
    assert list(storage.keys("leases/")) == []


def test_too_many_bad_rows_refuse_a_batch_whose_good_rows_are_written(home, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 100, bad_every=4)
    asked = (str(rows), str(tmp_path / "out"), DAY)
    told = score_batch.fn(pipeline(), *asked)
    assert told.refused.startswith("25 of 100 rows (25.0%) could not be answered")
    assert manifest_of(tmp_path / "out", "_REFUSED")["scored"] == 75
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert len(pd.read_parquet(parts_of(tmp_path / "out")[0])) == 75
    allowed = score_batch.fn(pipeline(max_rejected=0.3), *asked)
    assert (allowed.refused, allowed.taken) == (None, 1)
    assert not (tmp_path / "out" / "_REFUSED").exists()


def test_a_job_goes_on_with_its_own_version_and_anew_where_that_is_gone(home, tmp_path, caplog):
    rows = write_rows(tmp_path / "rows.csv", 300)
    asked = (pipeline(), str(rows), str(tmp_path / "out"), DAY)
    first = score_batch.fn(*asked)
    whole = {part.name: part.read_bytes() for part in parts_of(tmp_path / "out")}
    _half_done(tmp_path / "out")
    second = promoted(pipeline_of(), Settings(), seed=2)
    try:
        told = score_batch.fn(*asked)
        assert (told.version, told.taken) == (first.version, 1)
        assert "going on with v1, which the job began with; v2 is in Production now" in caplog.text
        assert whole == {part.name: part.read_bytes() for part in parts_of(tmp_path / "out")}
        anew = score_batch.fn(*asked)
        assert (anew.version, anew.taken) == (second.version, 0)
        _half_done(tmp_path / "out")
        record = json.loads((tmp_path / "out" / "_job.json").read_text())
        lost = json.dumps(record | {"version": "77", "digest": "0" * 64})
        (tmp_path / "out" / "_job.json").write_text(lost)
        told = score_batch.fn(*asked)
        assert (told.version, told.taken) == (second.version, 0)
        assert "v77, which the job began with, is gone" in caplog.text
    finally:
        promoted(pipeline_of(), Settings(), seed=1)


def test_a_file_without_the_input_is_refused_before_a_model_is_loaded(home, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.score.fetched", lambda *_: pytest.fail("a model was asked for"))
    path = tmp_path / "rows.csv"
    path.write_text("ticket_id,words\na,b\n")
    with pytest.raises(DataError, match=r"rows\.csv: has no column 'body'.*ticket_id, words"):
        score_batch.fn(pipeline(), str(path), str(tmp_path / "out.csv"), DAY)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]


def _half_done(folder):
    """As a kill after the first of three parts leaves it."""
    for path in [*parts_of(folder)[1:], folder / "_SUCCESS"]:
        path.unlink()
    for number in (1, 2):
        (folder / "_parts" / f"0000{number}.json").unlink()


def test_a_damaged_part_is_written_again(home, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 300)
    asked = (pipeline(format="csv"), str(rows), str(tmp_path / "out"), DAY)
    score_batch.fn(*asked)
    whole = [part.read_bytes() for part in parts_of(tmp_path / "out")]
    parts_of(tmp_path / "out")[1].write_text("cut")
    assert score_batch.fn(*asked).taken == 1
    assert [part.read_bytes() for part in parts_of(tmp_path / "out")] == whole


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_file_holds_what_the_parts_hold(home, tmp_path, ending):
    rows = write_rows(tmp_path / "rows.csv", 250, bad_every=100)
    score_batch.fn(pipeline(), str(rows), str(tmp_path / "out"), DAY)
    target = tmp_path / f"out.{ending}"
    told = score_batch.fn(pipeline(), str(rows), str(target), DAY)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(ending) or _read_lines
    parts = pd.concat([pd.read_parquet(part) for part in parts_of(tmp_path / "out")])
    assert read(target)["ticket"].tolist() == parts["ticket"].tolist()
    assert pd.read_csv(told.rejects)["ticket"].tolist() == ["t0-99", "t0-199"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "rows.csv", "out", target.name, f"{target.name}.rejects.csv",
    }  # fmt: skip


def _read_lines(path):
    return pd.read_json(path, lines=True)


def test_a_prefix_on_s3_is_read_and_another_is_written(home, tmp_path, s3_server, monkeypatch):
    store = s3_server.storage()
    settings = s3_server.settings()
    for name in ("endpoint", "access_key", "secret_key"):
        value = getattr(settings, f"s3_{name}")
        told = value if isinstance(value, str) else value.get_secret_value()
        monkeypatch.setenv(f"NOCTURNE_S3_{name.upper()}", told)
    for number in range(3):
        rows = write_rows(tmp_path / "rows.csv", 70, seed=number)
        store.upload(f"in/day/{number}.csv", rows)
    source, target = f"{store.uri}/in/day", f"{store.uri}/out/day"
    told = score_batch.fn(pipeline(), source, target, DAY)
    assert (told.rows, told.rejected, told.parts) == (210, 0, 2)
    keys = list(store.keys("out/day/"))
    assert "out/day/_SUCCESS" in keys
    assert [key for key in keys if "/part-" in key and key.endswith(".parquet")] == [
        "out/day/part-00000.parquet", "out/day/part-00001.parquet",
    ]  # fmt: skip
    assert score_batch.fn(pipeline(), source, target, DAY).taken == 2
    with pytest.raises(ConfigError, match="lies in its own input"):
        score_batch.fn(pipeline(), source, f"{source}/scored", DAY)


def test_the_batch_of_the_pipeline_file_shows_monitoring_a_sample(home, tmp_path):
    write_rows(tmp_path / "rows-2026-03-01.csv", 250)
    given = {"input": str(tmp_path / "rows-{date}.csv"), "output": str(tmp_path / "{date}")}
    configured = pipeline(**given, sample=40)
    told = score_batch.fn(configured, logical_date=DAY)
    assert told.output == str(tmp_path / "2026-03-01")
    score_batch.fn(configured, logical_date=DAY, fresh=True)  # and leaves no second sample
    seen = live_inputs.read(open_storage(Settings()), "batches", DAY)
    assert seen.num_rows == 40
    assert set(seen.column("version").to_pylist()) == {told.version}
    assert all(length > 0 for length in seen.column("length").to_pylist())
    assert all("no" in text for text in seen.column("text").to_pylist())


def test_a_source_without_rows_gives_columns_without_rows(home, tmp_path):
    (tmp_path / "rows.csv").write_text("ticket,body\n")
    told = score_batch.fn(pipeline(), str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"), DAY)
    assert (told.rows, told.refused) == (0, None)
    assert (tmp_path / "out.csv").read_text().startswith("ticket,label,probability_")


def test_what_is_to_be_scored_must_be_named(home):
    with pytest.raises(ConfigError, match="needs an input and an output"):
        score_batch.fn(pipeline())
