"""Labels that models which had not seen the row doubt."""

import numpy as np
import pandas as pd
import pytest

from tasks.datasets.contents import write_rows
from tasks.evaluation.suspects import suspects, table
from tasks.ragged import Examples, Ragged
from tasks.references import Prepared, Trained

CLASSES = ("east", "north", "west")
SIZES = {"train": 240, "validation": 90}
FLIPPED = {"train": (3, 70, 200), "validation": (11, 40, 77)}

VALIDATION = {f"validation-{row}" for row in FLIPPED["validation"]}


@pytest.fixture
def night(tmp_path):
    """Rows of three classes, a few labels turned, and confident answers that know better."""
    generator = np.random.default_rng(5)
    truth, home = {}, tmp_path / "prepared"
    for split, size in SIZES.items():
        truth[split] = generator.integers(0, 3, size)
        labels = truth[split].copy()
        labels[list(FLIPPED[split])] = (labels[list(FLIPPED[split])] + 1) % 3
        ids = np.array([f"{split}-{row}" for row in range(size)])
        inputs = Ragged.of([np.array([2], np.int32)] * size)
        Examples(inputs, labels.astype(np.int32), ids).save(home / split)
        texts = pd.Series(
            [f"row {row} of {split} " + "x" * 200 for row in range(size)], dtype="str"
        )
        write_rows(pd.DataFrame({"row_id": ids, "text": texts}), home / f"rows_{split}.parquet")
    prepared = Prepared(
        directory=str(home),
        classes=CLASSES,
        train_rows=SIZES["train"],
        validation_rows=SIZES["validation"],
        test_rows=1,
        near_duplicates=0,
        test_digest="0",
    )
    return prepared, truth, tmp_path / "candidate"


def answers(truth, seed=0):
    """Right on every row, with a confidence of about 0.9."""
    sure = np.random.default_rng(seed).uniform(0.9, 0.905, len(truth))
    found = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    found[np.arange(len(truth)), truth] = sure
    return found.astype(np.float32)


def trained(folder, **files):
    folder.mkdir()
    for name, found in files.items():
        np.save(folder / f"{name}_probabilities.npy", found)
    told = {"validation": {}, "test": {}, "class_counts": {}}
    return Trained(name="one", directory=str(folder), parameters=1, epochs=1, seconds=1.0, **told)


def test_turned_labels_are_found_and_no_others(night):
    prepared, truth, folder = night
    pooled = np.concatenate([truth["train"], truth["validation"]])
    candidate = trained(
        folder, out_of_fold=answers(pooled), validation=answers(truth["validation"])
    )
    found = suspects(prepared, candidate)
    wanted = {f"{split}-{row}" for split, rows in FLIPPED.items() for row in rows}
    assert {one.row_id for one in found} == wanted
    assert [one.believed for one in found] == sorted(one.believed for one in found)
    for one in found:
        split, row = one.row_id.split("-")
        assert one.suggested == CLASSES[truth[split][int(row)]]
        assert one.shown.startswith(f"row {row} of {split}")
        assert len(one.shown) == 160
    assert table(found)["row_id"].tolist() == [one.row_id for one in found]


def test_folds_that_only_measure_speak_of_train_rows_and_else_validation_rows_do(night):
    prepared, truth, folder = night
    measured = trained(folder, out_of_fold=answers(truth["train"]))
    assert {one.row_id for one in suspects(prepared, measured)} == {
        f"train-{row}" for row in FLIPPED["train"]
    }
    plain = trained(folder.with_name("plain"), validation=answers(truth["validation"]))
    assert {one.row_id for one in suspects(prepared, plain)} == VALIDATION


def test_a_class_without_rows_is_no_reason_to_fail(night):
    prepared, truth, folder = night
    wider = prepared.model_copy(update={"classes": (*CLASSES, "nowhere")})
    given = np.pad(answers(truth["validation"]), ((0, 0), (0, 1)), constant_values=1e-4)
    found = suspects(wider, trained(folder, validation=given))
    assert {one.row_id for one in found} == VALIDATION
