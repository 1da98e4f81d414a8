"""Who is taught what: a mixture of labels and of what others answered for rows held out."""

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.candidates.distilling import Lessons
from tasks.candidates.ensemble import SPLITS
from tasks.candidates.job import Job
from tasks.choices import check
from tasks.config import ConfigError, Pipeline, Training
from tasks.ragged import Examples, InputSpec, Ragged

LABELS = np.array([0, 1, 0, 1], np.int32)
ROWS = Examples(
    Ragged.of([np.array([1], np.int32)] * 4), LABELS, np.array([f"row {row}" for row in range(4)])
)
TEACHERS = {
    "sure of the first": [[0.9, 0.1], [0.1, 0.9], [0.4, 0.6], [0.6, 0.4]],
    "sure of the last": [[0.4, 0.6], [0.6, 0.4], [0.9, 0.1], [0.1, 0.9]],
}


def job(folder, *teachers, **options):
    for name in teachers:
        (folder / name).mkdir()
        for split in SPLITS:
            said = np.array(TEACHERS[name], np.float32)
            np.save(folder / name / f"{split}_probabilities.npy", said)
    return Job(
        name="pupil",
        prepared="",
        out="",
        architecture={"name": "distilled", "options": options},
        resampling="none",
        training=Training(calibrate=False),
        classes=("no", "yes"),
        spec=InputSpec("text", 9),
        folds=2,
        seed=1,
        members=tuple(str(folder / name) for name in teachers),
    )


def test_the_student_learns_labels_and_held_out_answers_in_the_measure_asked_for(tmp_path):
    student = {"name": "blend", "options": {"units": 8}}
    asked = job(tmp_path, *TEACHERS, architecture=student, hardness=0.25)
    lessons = Lessons(asked, ROWS, None, ROWS)
    rows = lessons.rows
    assert lessons.job.architecture.model_dump() == student
    assert lessons.job.model_copy(update={"architecture": asked.architecture}) == asked
    mean = np.mean(list(TEACHERS.values()), axis=0)
    expected = 0.25 * np.eye(2)[LABELS] + 0.75 * mean
    np.testing.assert_allclose(rows.targets, expected, atol=1e-6)
    np.testing.assert_array_equal(rows.labels, LABELS)
    np.testing.assert_allclose(rows.take(np.array([3, 3, 0])).targets, expected[[3, 3, 0]])


def test_one_teacher_is_not_enough(tmp_path):
    with pytest.raises(ConfigError, match="distilled: needs two other candidates, got 1"):
        Lessons(job(tmp_path, "sure of the last"), ROWS, None, ROWS)


def pipeline(resampling="none", folds=2, together=True, **options):
    pupil = {"name": "pupil", "architecture": {"name": "distilled", "options": options}}
    return Pipeline.model_validate(
        {
            "name": "toy",
            "source": {"reader": {"name": "csv", "options": {"path": "toy.csv"}}},
            "columns": {"label": "label", "sequence": ["x"]},
            "candidates": [{**pupil, "resampling": resampling}],
            "folds": folds,
            "fold_ensemble": together,
        }
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"architecture": "bland"}, "architecture of distilled 'bland'; did you mean 'blend'"),
        ({"architecture": "ensemble"}, "unknown architecture of distilled 'ensemble'"),
        ({"architecture": 3}, r"'architecture' of distilled: must be a name, or .*, got 3"),
        ({"architecture": {"name": "blend", "options": {"unit": 3}}}, "did you mean 'units'"),
        ({"hardness": 1.5}, "'hardness' of distilled: must be a number from 0 .*, got 1.5"),
        ({"hardness": "soft"}, "got 'soft'"),
        ({"hard": 1}, "unknown option 'hard'"),
        ({"resampling": "smote"}, "'pupil': .* nobody answered the rows that smote makes"),
    ],
)
def test_what_cannot_be_taught_is_refused_in_a_sentence(given, said):
    with pytest.raises(ConfigError, match=said):
        check(pipeline(**given))


def test_without_models_of_folds_there_is_nothing_to_learn_from():
    for folds in (0, 2):
        with pytest.raises(ValidationError, match=r"'pupil': distilled learns .* fold_ensemble"):
            pipeline(folds=folds, together=False)
    check(pipeline(hardness=0, architecture={"name": "stacked_lstm", "options": {"units": 8}}))
