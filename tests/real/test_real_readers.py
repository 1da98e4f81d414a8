"""The real data sets through the readers, counted against what their own pages say."""

import ast
import os
import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.storage import LocalStorage
from tasks.datasets import snapshots
from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.intake import take_in
from tasks.datasets.near_duplicates import copies
from tasks.datasets.reading import read
from tasks.datasets.splits import assign
from tests.rows import pipeline_of

PLACE = os.environ.get("NOCTURNE_REAL_DATA")
pytestmark = pytest.mark.skipif(
    not PLACE, reason="set NOCTURNE_REAL_DATA to the folder of the real data sets"
)
DAY = date(2026, 3, 1)
TEXT = {"id": "id", "text": "text", "label": "label"}
SERIES = {"id": "id", "step": "step", "label": "label", "split": "split"}
SETS = {
    "airline_tweets": TEXT | {"time": "created_at"},
    "trec": TEXT | {"split": "split"},
    "tweeteval_emotion": TEXT | {"split": "split"},
    "tweeteval_sentiment": TEXT | {"split": "split", "time": "created_at"},
    "japanese_vowels": SERIES | {"sequence": [f"c{at}" for at in range(12)]},
    "medical_images": SERIES | {"sequence": ["c0"]},
}
OFFICIAL = sorted(name for name, columns in SETS.items() if "split" in columns)


def _pipeline(name):
    folder, columns = Path(str(PLACE)) / name, SETS[name]
    by = "column" if "split" in columns else "hash"
    if "step" not in columns:
        reader = {"name": "csv", "options": {"path": str(folder / "data.csv")}}
        return pipeline_of(columns, reader=reader, split={"by": by})
    series = {"name": "parquet", "options": {"path": str(folder / "series.parquet")}}
    labels = {"name": "csv", "options": {"path": str(folder / "labels.csv")}}
    source = {"reader": series, "labels": labels}
    return pipeline_of(columns, source=source, split={"by": by})


def _told(name):
    """Rows, and rows of each class (and split), as the set's page has them."""
    page = (Path(str(PLACE)) / name / "README.md").read_text()
    rows = int(re.search(r"^Rows: (\d+)", page, re.MULTILINE)[1])
    counts = page.partition("Counts per class")[2]
    lines = re.findall(r"^  (\S+): (\{.*\}|\d+)$", counts, re.MULTILINE)
    return rows, {label: ast.literal_eval(value) for label, value in lines}


@pytest.mark.parametrize("name", SETS)
def test_rows_classes_and_splits_are_those_of_its_page(name):
    frame = read(_pipeline(name), DAY)
    rows, counts = _told(name)
    assert len(frame) == rows
    assert frame["row_id"].is_unique
    assert not frame["label"].isna().any()
    if "split" in frame:
        found = {
            label: {side[:3].replace("tra", "train").replace("tes", "test"): int(size)
                    for side, size in part["split"].value_counts().items()}
            for label, part in frame.groupby("label")
        }  # fmt: skip
        assert found == counts
    else:
        assert frame["label"].value_counts().to_dict() == counts


@pytest.mark.parametrize("name", ["japanese_vowels", "medical_images"])
def test_series_have_the_lengths_of_their_labels_file(name):
    frame = read(_pipeline(name), DAY).set_index("row_id")
    labels = pd.read_csv(Path(str(PLACE)) / name / "labels.csv").set_index("id")
    lengths = frame["series"].map(len)
    assert (lengths == labels["length"].reindex(lengths.index)).all()
    channels = {len(step) for series in frame["series"].head(20) for step in series}
    assert channels == {len(SETS[name]["sequence"])}


def test_times_span_what_the_page_says():
    times = read(_pipeline("airline_tweets"), DAY)["time"]
    assert (times.min().date(), times.max().date()) == (date(2015, 2, 16), date(2015, 2, 24))
    only_train = read(_pipeline("tweeteval_sentiment"), DAY)
    assert only_train["time"].notna().sum() == (only_train["split"] == "train").sum()


@pytest.mark.parametrize("name", OFFICIAL)
def test_taking_in_keeps_the_official_test_rows(name, tmp_path):
    pipeline, storage = _pipeline(name), LocalStorage(tmp_path)
    frame = read(pipeline, DAY)
    snapshot = take_in(pipeline, DAY, storage)
    kept = snapshots.load(snapshot, storage)
    for side in ("test", "validation"):
        assert (kept["split"] == side).sum() == (frame["split"] == side).sum()
    assert snapshot.rows + snapshot.duplicates == len(frame)
    sides = assign(kept, pipeline.split)
    assert set(sides) == {"train", "validation", "test"}
    assert (sides[kept["split"] == "test"] == "test").all()


def test_duplicates_of_the_airline_set_are_dropped():
    kept, dropped = without_duplicates(read(_pipeline("airline_tweets"), DAY))
    assert dropped == 188
    assert len(kept) == 14_452


def test_copies_of_test_questions_are_found_in_train():
    frame = read(_pipeline("trec"), DAY)
    train, test = (frame[frame["split"] == side] for side in ("train", "test"))
    found = copies(train, test, 0.8)
    exact = train["text"].isin(test["text"]).to_numpy()
    assert exact.sum() > 0
    assert found[exact].all()
    assert np.sum(found) < 0.05 * len(train)
