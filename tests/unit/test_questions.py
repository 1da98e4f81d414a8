"""Each step's question holds what its answer depends on, and nothing else."""

import os
from datetime import date

import pytest

from tasks import questions
from tasks.config import Pipeline
from tasks.references import Snapshot

DAY = date(2026, 3, 1)
SNAPSHOT = Snapshot(key="snapshots/toy/1.parquet", digest="1f", rows=3, new_rows=3, duplicates=0)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,text\na,b\n")
    return path


def pipeline(rows, **changes):
    return Pipeline.model_validate(
        {
            "name": "toy",
            "source": {"reader": {"name": "csv", "options": {"path": str(rows)}}},
            "columns": {"label": "label", "text": "text"},
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
            **changes,
        }
    )


def changed(one, other):
    return {part for part in one if one[part] != other[part]}


def test_a_source_file_that_was_written_since_is_another_source(rows):
    before = questions.of_ingest(pipeline(rows), DAY)
    assert questions.of_ingest(pipeline(rows), DAY) == before
    os.utime(rows, ns=(1, 1))
    assert changed(before, questions.of_ingest(pipeline(rows), DAY)) == {"source"}


def test_a_setting_of_training_does_not_touch_the_encoded_rows(rows):
    one, other = (pipeline(rows, seed=seed, training={"epochs": seed}) for seed in (1, 2))
    assert questions.of_prepare(one, SNAPSHOT) == questions.of_prepare(other, SNAPSHOT)
    cut = pipeline(rows, preprocessing={"max_length": 9})
    before, after = questions.of_prepare(one, SNAPSHOT), questions.of_prepare(cut, SNAPSHOT)
    assert changed(before, after) == {"configuration"}


def test_where_a_candidate_is_trained_changes_no_number():
    job = {"name": "a", "rows": "1f", "seed": 3, "out": "here", "threads": 1, "key": ""}
    elsewhere = {**job, "out": "there", "threads": 8}
    assert questions.of_candidate(job) == questions.of_candidate(elsewhere)
    other = questions.of_candidate({**job, "seed": 4})
    assert changed(questions.of_candidate(job), other) == {"configuration"}


def test_every_place_a_question_names_exists_and_counts():
    for places in questions.LIBRARIES:
        assert [place for place in places if not (questions.ROOT / place).exists()] == []
        assert len(questions.code(places)) == 64
