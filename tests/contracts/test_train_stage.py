"""The stage: one job a candidate, and a night without any model says why."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tasks.config import Pipeline, Preprocessing
from tasks.ragged import InputSpec
from tasks.references import Prepared
from tasks.sequences.preprocessor import fit_preprocessor
from tasks.train import NothingTrained, jobs_of, train
from tests.contracts.order_rows import CLASSES, order_rows


@pytest.fixture
def prepared(tmp_path):
    """What `prepare` leaves, with toy rows."""
    home = tmp_path / "toy" / "prepared" / "key"
    for number, (split, rows) in enumerate({"train": 30, "validation": 10, "test": 5}.items()):
        order_rows(rows, seed=number).save(home / split)
    words = pd.DataFrame({"text": ["the cat sat", "the dog sat"] * 4})
    state = fit_preprocessor("text", Preprocessing(), words).to_json()
    (home / "preprocessor.json").write_text(json.dumps(state))
    return Prepared(
        directory=str(home),
        classes=CLASSES,
        train_rows=30,
        validation_rows=10,
        test_rows=5,
        near_duplicates=0,
        test_digest="",
    )


def pipeline(*candidates, **given):
    return Pipeline.model_validate(
        {
            "name": "toy",
            "source": {"reader": {"name": "csv", "options": {"path": "toy.csv"}}},
            "columns": {"label": "label", "text": "text"},
            "candidates": candidates,
            **given,
        }
    )


FLOOR = {"name": "floor", "architecture": "averaged_embeddings"}
QUICK = {"name": "quick", "architecture": "stacked_lstm", "training": {"epochs": 2}}


def test_every_candidate_has_a_job_with_its_own_settings_and_folder(prepared):
    asked = pipeline(FLOOR, QUICK, folds=3, seed=9, evaluation={"metric": "mcc"})
    floor, quick = jobs_of(asked, prepared, workers=2)
    assert (floor.training.epochs, quick.training.epochs) == (20, 2)
    assert {each.threads for each in (floor, quick)} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert {(each.seed, each.folds, each.metric) for each in (floor, quick)} == {(9, 3, "mcc")}
    assert Path(quick.out).parts[-3:] == ("toy", "candidates", "quick")
    assert isinstance(floor.spec, InputSpec)
    assert floor.spec.size > 4


def test_the_files_of_last_nights_candidates_are_gone(prepared):
    (job,) = jobs_of(pipeline(FLOOR), prepared, workers=1)
    left = Path(job.out).parent / "older" / "model.keras"
    left.parent.mkdir(parents=True)
    left.touch()
    jobs_of(pipeline(FLOOR), prepared, workers=1)
    assert not left.exists()


def test_a_night_in_which_nothing_trained_names_every_reason(prepared):
    bad = [
        {**FLOOR, "architecture": {"name": "averaged_embeddings", "options": {"embeding": 4}}},
        {**QUICK, "architecture": {"name": "stacked_lstm", "options": {"pooling": "meen"}}},
    ]
    with pytest.raises(NothingTrained) as raised:
        train.fn(pipeline(*bad), prepared)
    assert "floor: architecture 'averaged_embeddings': unknown option 'embeding'" in str(
        raised.value
    )
    assert "quick: pooling: unknown value 'meen'; did you mean 'mean'?" in str(raised.value)
