"""Candidates in processes of their own: same seed same bytes, and a death is a sentence."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from tasks.architectures import saved
from tasks.candidates.fitting import answers
from tasks.candidates.folds import folds
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Training
from tasks.evaluation.calibration import temperature
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.training import linear
from tasks.training.one_vs_rest import Setting, usual
from tests.command_line import ROOT
from tests.contracts.order_rows import CLASSES, SPEC, splits_in

BRIEF = Training(epochs=2, min_updates=0, batch_size=16)
UNCALIBRATED = BRIEF.model_copy(update={"calibrate": False})
TWICE = {"folds": 3, "fold_repeats": 2, "fold_ensemble": True}
VALIDATION = "validation_probabilities.npy"
LONG = Training(epochs=5_000, min_updates=0, patience=5_000, batch_size=16)
TINY = {"name": "averaged_embeddings", "options": {"embedding": 4}}
LSTM = {"name": "stacked_lstm", "options": {"units": 4, "layers": 1, "embedding": 4}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return splits_in(tmp_path_factory.mktemp("prepared"))


def job(prepared, out, name, **given):
    common = {"architecture": TINY, "resampling": "none", "training": BRIEF, "seed": 4}
    return Job(
        name=name,
        prepared=str(prepared),
        out=str(out / name),
        classes=CLASSES,
        spec=SPEC,
        **{**common, **given},
    )


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Nine candidates, two at a time; two of them cannot work."""
    out = tmp_path_factory.mktemp("candidates")
    jobs = [
        job(prepared, out, "one", threads=2, architecture=LSTM),
        job(prepared, out, "same", threads=2, architecture=LSTM),
        job(prepared, out, "other", seed=5, architecture=LSTM),
        job(prepared, out, "as-it-was", training=UNCALIBRATED),
        job(prepared, out, "folded", folds=3, resampling="random_over"),
        job(prepared, out, "together", **TWICE, architecture=LSTM),
        job(prepared, out, "solved", folds=3, fold_ensemble=True, architecture={"name": "linear"}),
        job(
            prepared, out, "misspelt", architecture={"name": "stacked_lstm", "options": {"unit": 4}}
        ),
        job(prepared, out, "broken", training=BRIEF.model_copy(update={"learning_rate": 1e30})),
    ]
    (out / "one").mkdir()
    np.save(out / "one" / "out_of_fold_probabilities.npy", np.zeros(3))  # of another night
    return {each.name: each for each in run_all(jobs, workers=2)}


def weights(trained):
    """All weights of a model file, as bytes."""
    with zipfile.ZipFile(Path(trained.directory) / "model.keras") as archive:
        data = archive.read("model.weights.h5")
    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        )
    assert found
    return found


def test_the_same_seed_gives_the_same_weights_twice_and_another_seed_others(trained):
    assert weights(trained["one"]) == weights(trained["same"])
    assert weights(trained["one"]) != weights(trained["other"])


def test_a_candidate_leaves_its_model_history_answers_and_scores(trained, prepared):
    one = trained["one"]
    folder = Path(one.directory)
    assert one.failed is None
    assert one.epochs == 2
    assert one.parameters > 100
    assert not (folder / "out_of_fold_probabilities.npy").exists()
    history = json.loads((folder / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    assert max(epoch["validation_macro_f1"] for epoch in history) == one.validation["macro_f1"]
    for split, rows in {"validation": 30, "test": 20}.items():
        answers = np.load(folder / f"{split}_probabilities.npy", allow_pickle=False)
        assert (answers.shape, answers.dtype) == ((rows, 3), np.float32)
    labels = np.load(prepared / "test" / "labels.npy", allow_pickle=False)
    assert (answers.argmax(axis=1) == labels).mean() == one.test["accuracy"]


def test_answers_have_the_temperature_that_suits_the_validation_rows(trained, prepared):
    labels = np.load(prepared / "validation" / "labels.npy", allow_pickle=False)
    found = {
        name: temperature(labels, np.load(Path(trained[name].directory) / VALIDATION))
        for name in ("one", "as-it-was")
    }
    assert found["one"] == pytest.approx(1, abs=0.01)
    assert abs(found["as-it-was"] - 1) > 0.05


def test_folds_are_scored_apart_and_counts_tell_what_resampling_did(trained):
    folded = trained["folded"]
    assert [sorted(fold) for fold in folded.folds] == [sorted(folded.validation)] * 3
    assert (Path(folded.directory) / "folds" / "3" / "history.json").exists()
    before, after = zip(*folded.class_counts.values(), strict=True)
    assert sum(before) == 90
    assert set(after) == {max(before)}


def test_what_is_solved_for_has_learnt_from_all_rows_and_answers_for_none_it_had_seen(
    trained, prepared
):
    folder = Path(trained["solved"].directory)
    rows = Examples.joined([Examples.load(prepared / split) for split in ("train", "validation")])
    test = Examples.load(prepared / "test")
    held = np.load(folder / "out_of_fold_probabilities.npy")
    parts = [saved.load(folder / "folds" / str(number) / "model.keras") for number in (1, 2, 3)]
    for part, (_, left) in zip(parts, folds(rows.labels, None, 3, seed=4), strict=True):
        np.testing.assert_allclose(answers(part, rows.take(left)), held[left], atol=1e-6)
    told = [json.loads((folder / "folds" / str(n) / "solved.json").read_text()) for n in (1, 2, 3)]
    linear.solve_again(parts, rows, None, usual([Setting(**one["linear"]) for one in told]))
    expected = np.mean([answers(part, test) for part in parts], axis=0)
    np.testing.assert_allclose(np.load(folder / "test_probabilities.npy"), expected, atol=1e-6)
    model = saved.load(folder / "model.keras")
    np.testing.assert_allclose(answers(model, test), expected, atol=1e-6)


def test_models_of_all_folds_answer_with_their_mean_and_for_a_row_those_that_had_not_seen_it(
    trained, prepared
):
    together = trained["together"]
    folder = Path(together.directory)
    rows = Examples.joined([Examples.load(prepared / split) for split in ("train", "validation")])
    test = Examples.load(prepared / "test")
    of_folds, out_of_fold = [], np.zeros((120, 3), np.float32)
    parts = folds(rows.labels, None, 3, seed=4, repeats=2)
    for number, (_, held) in enumerate(parts, 1):
        model = saved.load(folder / "folds" / str(number) / "model.keras")
        of_folds.append(answers(model, test))
        out_of_fold[held] += answers(model, rows.take(held)) / 2
    said = np.load(folder / "validation_probabilities.npy")
    np.testing.assert_allclose(said, out_of_fold[90:], atol=1e-6)
    said = np.load(folder / "test_probabilities.npy")
    np.testing.assert_allclose(said, np.mean(of_folds, axis=0), atol=1e-6)
    np.testing.assert_allclose(answers(saved.load(folder / "model.keras"), test), said, atol=1e-6)
    assert np.ptp(of_folds, axis=0).max() > 1e-3
    own = answers(saved.load(folder / "model.keras"), Examples.load(prepared / "validation"))
    np.testing.assert_allclose(np.load(folder / "golden_probabilities.npy"), own, atol=1e-6)
    assert len(together.folds) == 6
    assert together.out_of_fold == pytest.approx(score(rows.labels, out_of_fold), abs=1e-5)
    assert sum(before for before, _ in together.class_counts.values()) == 80


def test_a_candidate_that_cannot_work_says_why_and_stops_nobody(trained):
    assert "did you mean 'units'" in trained["misspelt"].failed
    assert "lower learning_rate" in trained["broken"].failed
    assert [name for name, each in trained.items() if each.failed] == ["misspelt", "broken"]


def starts_candidates(process):
    """Whether it is the worker: a test process has other children too, servers among them."""
    try:
        return "tasks.candidates.worker" in process.cmdline()
    except psutil.Error:  # it ended while it was looked at
        return False


class Killer(logging.Handler):
    """Kills the candidate that reports first, as the kernel does when memory runs out."""

    def emit(self, record):
        (worker,) = (each for each in psutil.Process().children() if starts_candidates(each))
        for child in worker.children():
            child.kill()
        logging.getLogger("tasks.progress").removeHandler(self)


def test_a_killed_candidate_is_a_sentence_and_the_next_one_trains(prepared, tmp_path):
    progress = logging.getLogger("tasks.progress")
    progress.setLevel(logging.INFO)
    progress.addHandler(Killer())
    jobs = [job(prepared, tmp_path, "doomed", training=LONG), job(prepared, tmp_path, "next")]
    doomed, following = run_all(jobs, workers=1)
    assert doomed.failed.startswith("killed by signal 9 (SIGKILL); when nobody killed it, memory")
    assert following.failed is None


IMPATIENT = """
import signal, sys
if "tasks.candidates.worker" in sys.orig_argv:
    given = signal.setitimer
    signal.setitimer = lambda timer, seconds: given(timer, min(seconds, 0.5))
"""


def test_loading_keras_without_end_is_ended_and_a_sentence(prepared, tmp_path, monkeypatch):
    """Half a second of processor time is never enough for it, as 120 are not without memory."""
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    (stuck,) = run_all([job(prepared, tmp_path, "stuck")], workers=1)
    assert stuck.failed.startswith(
        "the process that starts candidates died (killed by signal 27 (SIGPROF); "
        "loading Keras came to no end: is there enough memory?"
    )


def alive(process):
    """Whether it still runs; one that ended may wait long to be collected by its new parent."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


PARENT = """
import json, logging, pathlib, sys
from tasks.architectures import saved
from tasks.candidates.fitting import answers
from tasks.candidates.folds import folds
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
run_all([Job.model_validate_json(sys.argv[1])], workers=1)
"""


def test_nothing_outlives_a_parent_that_was_killed(prepared, tmp_path):
    long = job(prepared, tmp_path, "long", training=LONG).model_dump_json()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, long], stdout=subprocess.PIPE)
    try:
        assert any(b"long: " in line for line in parent.stdout)
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.stdout.close()
        parent.wait()
    deadline = time.monotonic() + 120
    while any(alive(each) for each in family) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [each for each in family if alive(each)]
