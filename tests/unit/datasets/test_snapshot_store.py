import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.storage import LocalStorage, NotFound
from tasks.datasets import snapshots
from tasks.datasets.errors import DataError
from tasks.datasets.snapshots import NightRows
from tasks.references import Snapshot
from tests.rows import series_of, texts

FIXED = "23f1c0b633151c6de6f01d7bbf64c27c09972ff22a01ef8b47bacd5571d359f0"


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def frame():
    return texts(
        ("b", "x", "two"), ("a", None, "one"), ("c", "y", None),
        time=["2026-03-01T10:00:00Z", None, "2026-03-02T00:00:00.123456Z"],
        group=["g", None, "g"], place=["p", "q", "p"], channel=["mail", None, "web"],
    )  # fmt: skip


def _stored(frame, storage):
    digest, key = snapshots.write(frame, "trial", storage)
    return Snapshot(key=key, digest=digest, rows=len(frame), new_rows=0, duplicates=0)


def _sorted(frame):
    return frame.sort_values("row_id").reset_index(drop=True)


def test_rows_come_back_as_they_went_in_sorted_by_id(frame, storage):
    snapshot = _stored(frame, storage)
    assert snapshot.key == f"snapshots/trial/{snapshot.digest}.parquet"
    names = ["row_id", "label", "text", "time", "group", "channel", "place"]
    pd.testing.assert_frame_equal(snapshots.load(snapshot, storage), _sorted(frame)[names])


def test_series_come_back_as_they_went_in(storage):
    frame = texts(("b", "x", None), ("a", "y", None)).drop(columns="text")
    frame["series"] = series_of([[1.5, float("nan")], [2.0, -0.0]], [[3.0, 4.0]])
    loaded = snapshots.load(_stored(frame, storage), storage)
    assert loaded["row_id"].tolist() == ["a", "b"]
    assert loaded["series"].dtype == frame["series"].dtype
    np.testing.assert_array_equal([*map(list, loaded["series"][1])], [[1.5, np.nan], [2.0, 0.0]])


def test_the_same_content_in_another_order_has_the_same_digest(frame, storage):
    first = _stored(frame, storage)
    again = _stored(frame.iloc[[2, 0, 1]][frame.columns[::-1]], storage)
    assert again == first
    assert list(storage.keys("snapshots/")) == [first.key]


CHANGES = {
    "an id": ("row_id", "d"),
    "a label": ("label", "z"),
    "a label that was missing": ("label", "x"),
    "a text": ("text", "one "),
    "a missing text": ("text", None),
    "a time": ("time", pd.Timestamp("2026-03-01T10:00:00.000001Z")),
    "a slice": ("place", "p"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_other_content_has_another_digest(frame, what):
    column, value = CHANGES[what]
    changed = frame.copy()
    changed.loc[1, column] = value
    assert snapshots.digest_of(changed) != snapshots.digest_of(frame)


def test_moving_letters_between_rows_changes_the_digest():
    one = texts(("1", "a", "ab"), ("2", "a", "c"))
    other = texts(("1", "a", "a"), ("2", "a", "bc"))
    assert snapshots.digest_of(one) != snapshots.digest_of(other)


def test_renaming_a_column_changes_the_digest(frame):
    renamed = frame.rename(columns={"place": "town"})
    assert snapshots.digest_of(renamed) != snapshots.digest_of(frame)


ROWS = st.lists(
    st.tuples(st.text(max_size=3), st.none() | st.text(max_size=3), st.none() | st.text()),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[0],
)


@given(ROWS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_digests_are_equal_exactly_when_contents_are(rows, random):
    frame, shuffled = texts(*rows), list(rows)
    random.shuffle(shuffled)
    digest = snapshots.digest_of(frame)
    assert snapshots.digest_of(texts(*shuffled)) == digest
    name, label, text = shuffled[0]
    other = texts(*shuffled[1:], (name, label, "a" if text is None else None))
    assert snapshots.digest_of(other) != digest


def test_the_digest_is_the_same_in_every_process_and_for_ever():
    code = (
        "from tests.rows import texts; from tasks.datasets.snapshots import digest_of;"
        "print(digest_of(texts(('1', 'a', 'ä'), ('2', None, 'b'), place=['x', None])))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == FIXED


def test_two_rows_with_one_id_are_refused():
    with pytest.raises(DataError, match="an id repeats in 1 row, such as 'a'"):
        snapshots.digest_of(texts(("a", "x", "1"), ("a", "x", "2")))


def test_no_rows_are_a_snapshot_too(storage):
    empty = texts().astype("str")
    loaded = snapshots.load(_stored(empty, storage), storage)
    assert list(loaded) == ["row_id", "label", "text"]
    assert len(loaded) == 0


def test_changed_rows_are_refused_when_they_are_read(frame, storage):
    snapshot = _stored(frame, storage)
    other = _stored(texts(("z", "x", "two")), storage)
    storage.put(snapshot.key, storage.get(other.key))
    with pytest.raises(DataError, match=rf"the digest {other.digest} and not {snapshot.digest}"):
        snapshots.load(snapshot, storage)


def test_a_damaged_file_is_refused_by_name(frame, storage):
    snapshot = _stored(frame, storage)
    storage.put(snapshot.key, storage.get(snapshot.key)[:-20])
    with pytest.raises(DataError, match="no readable Parquet"):
        snapshots.load(snapshot, storage)


def test_a_snapshot_that_is_gone_is_named(storage):
    gone = Snapshot(key="snapshots/trial/0.parquet", digest="0", rows=0, new_rows=0, duplicates=0)
    with pytest.raises(NotFound, match="snapshots/trial/0"):
        snapshots.load(gone, storage)


def _night(day, rows=10):
    return NightRows(f"2026-03-{day:02}", "0" * 64, rows, 1, {"a": rows}, "2026-03-01T00:00:00")


def test_recent_nights_come_oldest_first_and_end_before_tonight(storage):
    for day in (9, 1, 20, 3):
        snapshots.note(_night(day), "trial", storage)
    snapshots.note(_night(5), "another", storage)
    recent = snapshots.recent("trial", storage, date(2026, 3, 20), limit=2)
    assert recent == [_night(3), _night(9)]
    assert snapshots.recent("trial", storage, date(2026, 3, 1)) == []


def test_a_rerun_of_a_night_replaces_what_it_noted(storage):
    snapshots.note(_night(1, rows=10), "trial", storage)
    snapshots.note(_night(1, rows=12), "trial", storage)
    assert [night.rows for night in snapshots.recent("trial", storage, date(2026, 4, 1))] == [12]
