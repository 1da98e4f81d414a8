"""The stage: snapshot in, clean snapshot, quarantine and history out."""

import io
import json
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from infra.local import LocalStorage
from tasks.config import ConfigError, Pipeline
from tasks.datasets import snapshots
from tasks.pipeline_file import load_pipeline
from tasks.references import Snapshot
from tasks.validate import judge
from tests.frames import CLASSES, SERIES, tickets, waves

DAY = date(2026, 3, 20)
NOW = datetime(2026, 3, 25, tzinfo=UTC)
CONTENT = {
    "name": "trial",
    "source": {"reader": "synthetic"},
    "columns": {"label": "topic", "text": "body", "id": "ticket", "time": "created_at"},
    "contract": {"max_length": 40},
    "evaluation": {"slices": ["channel"]},
    "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
}


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


def _pipeline(**contract):
    return Pipeline.model_validate({**CONTENT, "contract": {"max_length": 40, **contract}})


def _judge(frame, storage, tmp_path, day=DAY, **contract):
    frame = frame.assign(time=frame["time"] - pd.Timedelta(DAY - day))
    digest, key = snapshots.write(frame, "trial", storage)
    snapshot = Snapshot(key=key, digest=digest, rows=len(frame), new_rows=len(frame), duplicates=0)
    pipeline = _pipeline(**contract)
    docs = tmp_path / "docs"
    return snapshot, judge(pipeline, snapshot, day, storage=storage, docs=docs, now=NOW)


def test_a_snapshot_without_bad_rows_is_handed_on_as_it_is(storage, tmp_path):
    snapshot, validated = _judge(tickets(), storage, tmp_path)
    assert validated.accepted
    assert validated.clean == snapshot
    assert validated.quarantine_key is None
    assert (tmp_path / "docs" / "index.html").as_posix() == validated.data_docs


def test_bad_rows_lie_in_quarantine_with_their_reasons_and_the_rest_is_a_snapshot(
    storage, tmp_path
):
    frame = tickets()
    frame.loc[[3, 8], "text"] = None
    _, validated = _judge(frame, storage, tmp_path)
    assert validated.quarantine_key == "quarantine/trial/2026-03-20.parquet"
    bad = pd.read_parquet(io.BytesIO(storage.get(validated.quarantine_key)))
    assert sorted(bad["row_id"]) == ["t0-3", "t0-8"]
    assert bad["reason"].str.contains("text .* is given").all()
    clean = snapshots.load(validated.clean, storage)
    assert sorted(clean["row_id"]) == sorted(frame["row_id"].drop([3, 8]))
    assert (validated.quarantined, validated.clean.rows) == (2, 298)


def test_series_survive_quarantine_and_snapshot(storage, tmp_path):
    rows = waves()["series"].tolist()
    rows[5] = []
    frame = waves().assign(series=pd.Series(rows, dtype=SERIES))
    digest, key = snapshots.write(frame, "trial", storage)
    snapshot = Snapshot(key=key, digest=digest, rows=120, new_rows=120, duplicates=0)
    columns = {"label": "topic", "sequence": ["x", "y"], "id": "sensor"}
    pipeline = Pipeline.model_validate({**CONTENT, "columns": columns, "evaluation": {}})
    validated = judge(pipeline, snapshot, DAY, storage=storage, docs=tmp_path, now=NOW)
    assert validated.accepted, validated.reason
    bad = pd.read_parquet(io.BytesIO(storage.get(validated.quarantine_key)))
    assert [*bad["row_id"]] == ["s5"]
    assert validated.clean.rows == 119


def test_the_same_snapshot_twice_gives_the_same_answer(storage, tmp_path):
    frame = tickets()
    frame.loc[3, "text"] = None
    _, first = _judge(frame, storage, tmp_path)
    _, again = _judge(frame, storage, tmp_path)
    assert again == first


def test_classes_are_learnt_from_the_first_night_and_a_new_one_stops_the_second(storage, tmp_path):
    _judge(tickets(), storage, tmp_path, date(2026, 3, 19))
    frame = tickets(seed=1)
    frame.loc[:9, "label"] = "Z"
    _, refused = _judge(frame, storage, tmp_path)
    assert not refused.accepted
    assert "new label 'Z' 10 rows" in refused.reason
    assert refused.clean is None


def test_what_was_refused_is_never_learnt(storage, tmp_path):
    _judge(tickets(), storage, tmp_path, date(2026, 3, 18))
    frame = tickets(seed=1)
    frame.loc[:9, "label"] = "Z"
    for day in (19, 20):
        _, refused = _judge(frame, storage, tmp_path, date(2026, 3, day))
        assert "new label 'Z'" in refused.reason


def test_a_class_that_vanished_quotes_the_nights_before(storage, tmp_path):
    for day in (17, 18, 19):
        _judge(tickets(), storage, tmp_path, date(2026, 3, day))
    frame = tickets(seed=1)
    frame.loc[frame["label"] == CLASSES[0], "label"] = CLASSES[1]
    _, refused = _judge(frame, storage, tmp_path)
    assert "class 'billing' 0 rows (median 100 in 3 nights)" in refused.reason


def test_later_nights_are_no_history(storage, tmp_path):
    _judge(tickets(3_000), storage, tmp_path, date(2026, 3, 21))
    _, validated = _judge(tickets(), storage, tmp_path)
    assert validated.accepted, validated.reason


def test_a_night_whose_snapshot_is_gone_only_loses_the_comparison(storage, tmp_path, caplog):
    before, _ = _judge(tickets(seed=1), storage, tmp_path, date(2026, 3, 19))
    (storage.root / before.key).unlink()
    _, validated = _judge(tickets(), storage, tmp_path)
    assert validated.accepted
    assert "no comparison with the night before" in caplog.text


def test_a_suite_beside_the_pipeline_file_is_evaluated(storage, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    rule = {"type": "expect_column_to_exist", "kwargs": {"column": "characters"}}
    (conf / "trial.suite.json").write_text(json.dumps({"expectations": [rule]}))
    content = {**CONTENT, "contract": {"suite": "trial.suite.json", "max_length": 40}}
    (conf / "trial.yaml").write_text(json.dumps(content))
    pipeline = load_pipeline(conf / "trial.yaml")
    assert pipeline.contract.suite == str(conf / "trial.suite.json")
    digest, key = snapshots.write(tickets(), "trial", storage)
    snapshot = Snapshot(key=key, digest=digest, rows=300, new_rows=300, duplicates=0)
    assert judge(pipeline, snapshot, DAY, storage=storage, docs=tmp_path, now=NOW).accepted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such suite"),
        ("[", "cannot be read as JSON"),
        ('[{"type": "expect_colum_to_exist"}]', "did you mean 'expect_column_to_exist'"),
    ],
)
def test_a_bad_suite_is_a_configuration_error(text, says, storage, tmp_path):
    path = tmp_path / "bad.suite.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"contract\.suite") as refused:
        _judge(tickets(), storage, tmp_path, suite=str(path))
    assert says in str(refused.value)
