from datetime import date

import pandas as pd
import pytest

from infra.storage import LocalStorage
from tasks.datasets import snapshots
from tasks.datasets.intake import take_in
from tests.rows import pipeline_of

COLUMNS = {"id": "id", "text": "text", "label": "topic", "time": "at"}


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def night(tmp_path, storage):
    """Take in rows of (id, text, topic, day of March) on a day of March."""

    def take(day, rows, columns=COLUMNS):
        frame = pd.DataFrame(rows, columns=["id", "text", "topic", "at"])
        frame["at"] = [f"2026-03-{int(at):02}T12:00:00Z" for at in frame["at"]]
        frame.to_csv(tmp_path / "rows.csv", index=False)
        reader = {"name": "csv", "options": {"path": str(tmp_path / "rows.csv")}}
        return take_in(pipeline_of(columns, reader=reader), date(2026, 3, day), storage)

    return take


ROWS = [(1, "x", "a", 1), (2, "y", "b", 1), (3, "x", "a", 2), (4, "z", None, 2), (5, "w", "b", 9)]


def test_a_night_takes_what_there_is_by_its_date_once(night, storage):
    snapshot = night(2, ROWS)
    assert (snapshot.rows, snapshot.new_rows, snapshot.duplicates) == (3, 3, 1)
    assert snapshot.newest == "2026-03-02T12:00:00+00:00"
    assert snapshots.load(snapshot, storage)["row_id"].tolist() == ["1", "2", "4"]


def test_the_next_night_counts_what_is_new_and_what_came_late(night):
    night(2, ROWS)
    snapshot = night(9, [*ROWS, (6, "late", "a", 1)])
    assert (snapshot.rows, snapshot.new_rows) == (5, 2)


def test_the_same_rows_in_another_order_are_the_same_snapshot(night, storage):
    first, again = night(2, ROWS), night(3, ROWS[::-1])
    assert (again.key, again.digest, again.new_rows) == (first.key, first.digest, 0)
    assert [key for key in storage.keys("snapshots/") if "nights" not in key] == [first.key]


def test_a_rerun_of_a_night_counts_against_the_night_before(night):
    night(1, ROWS)
    assert night(2, ROWS).new_rows == night(2, ROWS).new_rows == 1


def test_each_night_notes_its_counts(night, storage):
    night(2, ROWS)
    noted = snapshots.recent("trial", storage, date(2026, 3, 3))
    assert [(n.date, n.rows, n.class_counts) for n in noted] == [
        ("2026-03-02", 3, {"a": 1, "b": 1})
    ]


def test_a_lost_snapshot_makes_all_rows_new_and_says_so(night, storage, caplog):
    lost = night(1, ROWS)
    (storage.root / lost.key).unlink()
    assert night(2, ROWS).new_rows == 3
    assert "is gone" in caplog.text


def test_without_times_every_row_counts_and_none_is_newest(night):
    columns = {"id": "id", "text": "text", "label": "topic"}
    snapshot = night(1, ROWS, columns)
    assert (snapshot.rows, snapshot.newest) == (4, None)


def test_a_header_alone_is_an_empty_snapshot_for_the_contract_to_refuse(night):
    snapshot = night(1, [])
    assert (snapshot.rows, snapshot.new_rows, snapshot.newest) == (0, 0, None)


def test_the_stage_keeps_its_snapshot_in_the_store_of_the_environment(tmp_path, monkeypatch):
    from tasks.ingest import ingest

    monkeypatch.setenv("NOCTURNE_STORE", str(tmp_path / "elsewhere"))
    columns = {"id": "ticket_id", "text": "text", "label": "topic"}
    reader = {"name": "synthetic", "options": {"days": 2}}
    snapshot = ingest.fn(pipeline_of(columns, reader=reader), date(2026, 3, 1))
    assert (tmp_path / "elsewhere" / snapshot.key).is_file()
    assert snapshot.rows > 20
