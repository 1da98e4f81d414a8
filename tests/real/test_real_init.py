"""`nocturne init` on real sets: drafted, taken in and accepted by their own contract."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from infra.local import LocalStorage
from tasks.datasets.drafting import Options, initialise
from tasks.datasets.guessing import Given
from tasks.datasets.intake import take_in
from tasks.pipeline_file import load_pipeline
from tasks.validate import judge

FOLDER = os.environ.get("NOCTURNE_REAL_DATA")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="NOCTURNE_REAL_DATA names no folder of real data sets"
)
TODAY = date(2026, 1, 1)


def _draft(name, given, labels=None, file="data.csv"):
    folder = Path(FOLDER) / name
    return initialise(Options(folder / file, given, labels=folder / labels if labels else None))


def _night(draft, folder, day=TODAY):
    conf = folder / f"{draft.name}.yaml"
    conf.write_text(draft.yaml_text)
    (folder / draft.suite_name).write_text(json.dumps(draft.suite))
    pipeline = load_pipeline(conf)
    storage = LocalStorage(folder / "store")
    snapshot = take_in(pipeline, day, storage)
    now = datetime(2026, 2, 1, tzinfo=UTC)
    validated = judge(pipeline, snapshot, day, storage=storage, docs=folder / "docs", now=now)
    assert validated.accepted, validated.reason
    return pipeline, snapshot, validated


@pytest.mark.parametrize(
    ("name", "rows", "classes"), [("tweeteval_emotion", 5052, 4), ("trec", 5952, 6)]
)
def test_texts_with_an_official_split(name, rows, classes, tmp_path):
    draft = _draft(name, Given(label="label", split="split"))
    assert (draft.profile.rows, len(draft.profile.classes)) == (rows, classes)
    pipeline, _, validated = _night(draft, tmp_path)
    assert (pipeline.split.by, pipeline.columns.text) == ("column", "text")
    assert validated.quarantined == 0


def test_tweets_whose_time_is_guessed(tmp_path):
    draft = _draft("airline_tweets", Given(label="label"))
    assert draft.profile.rows == 14_640
    assert draft.profile.conflicts > 0
    pipeline, snapshot, validated = _night(draft, tmp_path)
    assert pipeline.columns.time == "created_at"
    assert snapshot.duplicates > 100
    assert 0 < validated.quarantined < 100


def test_every_day_of_the_tweets_is_accepted_once_there_are_enough(tmp_path):
    draft = _draft("airline_tweets", Given(label="label"))
    for day in (17, 19, 21, 23, 24):
        _night(draft, tmp_path, date(2015, 2, day))


def test_times_with_gaps_leave_the_official_test_rows_alone(tmp_path):
    draft = _draft("tweeteval_sentiment", Given(label="label", split="split"))
    assert not next(guess for guess in draft.guesses if guess.part == "time").used
    _, snapshot, validated = _night(draft, tmp_path)
    assert validated.quarantined < 0.01 * snapshot.rows


@pytest.mark.parametrize(
    ("name", "rows", "channels", "said"),
    [
        ("japanese_vowels", 640, 12, {"sequence": True, "step": "step", "id": "id"}),
        ("medical_images", 1141, 1, {}),
    ],
)
def test_series_one_row_a_step_with_a_labels_file(name, rows, channels, said, tmp_path):
    given = Given(label="label", split="split", **said)
    draft = _draft(name, given, "labels.csv", "series.parquet")
    assert draft.profile.rows == rows
    pipeline, _, validated = _night(draft, tmp_path)
    assert len(pipeline.columns.sequence) == channels
    assert (pipeline.columns.step, pipeline.columns.id) == ("step", "id")
    assert validated.quarantined == 0
