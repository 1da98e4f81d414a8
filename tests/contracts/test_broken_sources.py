"""Files as they arrive broken, taken in and judged as a night does."""

from datetime import UTC, date, datetime

import pytest

from infra.local import LocalStorage
from tasks.config import Pipeline
from tasks.datasets.errors import DataError
from tasks.datasets.intake import take_in
from tasks.validate import judge
from tests.frames import tickets

DAY = date(2026, 3, 20)


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


def _source(frame=None):
    frame = tickets() if frame is None else frame
    return frame.rename(columns={"row_id": "id", "label": "topic", "text": "body", "time": "at"})


def _night(text, storage, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    pipeline = Pipeline.model_validate(
        {
            "name": "trial",
            "source": {"reader": {"name": "csv", "options": {"path": str(path)}}},
            "columns": {"label": "topic", "text": "body", "id": "id", "time": "at"},
            "contract": {"labels": ["billing", "delivery", "login"], "max_length": 40},
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        }
    )
    snapshot = take_in(pipeline, DAY, storage)
    now = datetime(2026, 3, 25, tzinfo=UTC)
    return judge(pipeline, snapshot, DAY, storage=storage, docs=tmp_path / "docs", now=now)


def test_a_whole_file_is_accepted(storage, tmp_path):
    assert _night(_source().to_csv(index=False), storage, tmp_path).accepted


def test_a_header_alone_is_refused(storage, tmp_path):
    validated = _night("id,topic,body,at,channel\n", storage, tmp_path)
    assert not validated.accepted
    assert "0 rows, expected at least 100" in validated.reason


def test_an_empty_file_is_refused(storage, tmp_path):
    with pytest.raises(DataError, match="the file is empty"):
        _night("", storage, tmp_path)


def test_a_renamed_column_names_the_nearest(storage, tmp_path):
    text = _source().rename(columns={"body": "body_text"}).to_csv(index=False)
    with pytest.raises(DataError, match=r"no column 'body'; did you mean 'body_text'"):
        _night(text, storage, tmp_path)


def test_a_column_retyped_to_numbers_is_refused(storage, tmp_path):
    text = _source().assign(body=range(300)).to_csv(index=False)
    with pytest.raises(DataError, match="column 'body' must be text, and it holds int64"):
        _night(text, storage, tmp_path)


def test_a_column_without_any_label_is_refused(storage, tmp_path):
    validated = _night(_source().assign(topic=None).to_csv(index=False), storage, tmp_path)
    assert "label: missing in all 300 rows" in validated.reason


def test_a_batch_delivered_twice_is_refused(storage, tmp_path):
    text = _source().to_csv(index=False)
    twice = text + text.partition("\n")[2]
    validated = _night(twice, storage, tmp_path)
    assert not validated.accepted
    assert "duplicates: 300 of 600 rows (50 %)" in validated.reason


def test_null_texts_go_to_quarantine(storage, tmp_path):
    frame = _source()
    frame.loc[[1, 2], "body"] = None
    validated = _night(frame.to_csv(index=False), storage, tmp_path)
    assert validated.accepted
    assert validated.quarantined == 2
