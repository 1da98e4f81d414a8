"""A search on toy rows: real trials in processes of their own."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date

import pytest

from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Candidate, Pipeline
from tasks.references import Prepared
from tasks.tune import tune
from tasks.tuned import Tuned
from tasks.tuning.search import Search
from tasks.tuning.space import settings_of
from tests.command_line import ROOT
from tests.contracts.order_rows import CLASSES, SPEC, order_rows
from tests.contracts.test_candidate_processes import LONG, TINY, job
from tests.one_room import one_room

LSTM = {"name": "stacked_lstm", "options": {"units": 4, "layers": 1, "embedding": 4}}
EARLIER = Candidate(name="tuned", architecture={"name": "lstm_attention", "options": {"units": 8}})


@pytest.fixture(scope="module", autouse=True)
def _one_room():
    with one_room():
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Train rows alone: a search that asked for others would fail."""
    home = tmp_path_factory.mktemp("prepared")
    order_rows(60, seed=1).save(home / "train")
    return home


def pipeline(**given):
    common = {
        "name": "toy",
        "source": {"reader": {"name": "csv", "options": {"path": "toy.csv"}}},
        "columns": {"label": "label", "text": "text"},
        "training": {"epochs": 2, "min_updates": 0, "batch_size": 32},
        "candidates": [
            {"name": "floor", "architecture": "averaged_embeddings"},
            {"name": "lstm", "architecture": LSTM},
        ],
    }
    return Pipeline.model_validate({**common, **given})


def search(asked, rows, folder, earlier=(), **given):
    template = Job(
        name="floor",
        prepared=str(rows),
        out=str(folder / "floor"),
        architecture=TINY,
        resampling="none",
        training=asked.training,
        classes=CLASSES,
        spec=SPEC,
        folds=asked.folds,
        seed=asked.seed,
    )
    return Search(asked, template, earlier, skewed=False, folder=folder, day="2026-03-01", **given)


@pytest.fixture(scope="module")
def found(rows, tmp_path_factory):
    """Two trials of folds, then another of the same search."""
    folder = tmp_path_factory.mktemp("search")
    asked = pipeline(tune={"minutes": 10, "trials": 2}, folds=2)
    first = search(asked, rows, folder, [EARLIER]).run(2)
    more = asked.model_copy(update={"tune": asked.tune.model_copy(update={"trials": 3})})
    return first, search(more, rows, folder, [EARLIER]).run(2)


def test_earlier_winners_and_the_pipelines_own_come_first(found):
    first, _ = found
    asked = pipeline()
    tried = [trial.settings for trial in first.trials]
    assert len(tried) == 2
    assert tried[0] == settings_of(asked, EARLIER)
    assert tried[1] == settings_of(asked, asked.candidates[1])


def test_the_best_trial_is_the_winner_and_the_sentence_says_by_how_much(found):
    _, all_ = found
    best = all_.best(1)[0]
    assert 0 < best.value <= 1
    assert all_.value == best.value >= all_.own
    assert all_.candidate == (None if best.settings == all_.trials[1].settings else best.candidate)
    assert "3 settings tried" in all_.reason
    assert f"{best.value:.3f}" in all_.reason


def test_a_search_goes_on_with_what_its_journal_holds(found):
    first, all_ = found
    assert all_.trials[:2] == first.trials
    assert [trial.number for trial in all_.trials] == [0, 1, 2]


def test_trials_leave_no_models_behind(rows, found, tmp_path):
    search(pipeline(tune={"minutes": 10, "trials": 1}), rows, tmp_path / "one").run(1)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["journal.log"]


def test_no_time_is_no_winner_and_says_so(rows, tmp_path):
    ticks = iter(range(0, 10_000, 90))
    asked = pipeline(tune={"minutes": 1})
    none = search(asked, rows, tmp_path, clock=lambda: float(next(ticks))).run(1)
    assert (none.candidate, none.trials) == (None, ())
    assert "no trial ended: there was no time for one" in none.reason


def test_settings_that_cannot_work_end_the_search_with_their_reason(rows, tmp_path):
    asked = pipeline(tune={"minutes": 10}, folds=20, columns={"label": "l", "text": "t"})
    shutil.copytree(rows, tmp_path / "rows")
    order_rows(9, seed=1).save(tmp_path / "rows" / "train")
    none = search(asked, tmp_path / "rows", tmp_path / "s").run(2)
    assert none.candidate is None
    assert "20 folds need a class with 20 rows" in none.reason
    assert 5 <= len(none.trials) <= 6


def test_a_job_that_measured_too_little_is_ended(prepared, tmp_path, caplog):
    caplog.set_level(logging.INFO, "tasks")
    heard = []

    def enough(job, step, value):
        heard.append((job.name, step, value))
        return job.name == "doomed" and step >= 2

    doomed = job(prepared, tmp_path, "doomed", training=LONG, trial=True)
    brief = job(prepared, tmp_path, "brief", trial=True, folds=2)
    ended = run_all([doomed, brief], workers=2, on_value=enough)
    assert ended[0].failed == "ended early"
    assert ended[1].failed is None
    assert [step for name, step, _ in heard if name == "doomed"][:2] == [1, 2]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    order_rows(60, seed=1).save(home / "train")
    return home


def test_a_young_search_is_not_repeated(tmp_path):
    asked = pipeline(tune={"minutes": 5, "every_days": 7})
    before = Tuned(
        logical_date="2026-03-01",
        metric="macro_f1",
        candidate=EARLIER.model_dump(mode="json"),
        reason="the best",
    )
    nowhere = Prepared(
        directory=str(tmp_path / "nowhere"),
        classes=CLASSES,
        train_rows=1,
        validation_rows=1,
        test_rows=1,
        near_duplicates=0,
        test_digest="",
    )
    taken = tune.fn(asked, nowhere, date(2026, 3, 7), before, folder=tmp_path / "s")
    assert taken.candidate == before.candidate
    assert taken.reason == "searched on 2026-03-01, 6 of 7 days ago: the best"
    with pytest.raises(FileNotFoundError):
        tune.fn(asked, nowhere, date(2026, 3, 8), before, folder=tmp_path / "s")


KILLED = """
import sys
from pathlib import Path
from tests.contracts.test_search import pipeline, search
asked = pipeline(tune={"minutes": 10, "trials": int(sys.argv[3])}, folds=2)
print(search(asked, Path(sys.argv[1]), Path(sys.argv[2])).run(1).model_dump_json())
"""


@pytest.mark.slow
def test_a_search_that_was_killed_tries_again_what_it_had_under_way(rows, tmp_path):
    command = [sys.executable, "-c", KILLED, str(rows), str(tmp_path / "s")]
    with subprocess.Popen([*command, "9"], cwd=ROOT, start_new_session=True) as process:
        journal = tmp_path / "s" / "journal.log"
        while not journal.exists() or journal.read_text().count('"op_code":6') < 2:
            assert process.poll() is None
            time.sleep(0.2)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
    subprocess.run([*command, "3"], cwd=ROOT, check=True)
    done = subprocess.run([*command, "4"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    after = Tuned.model_validate(json.loads(done.stdout.splitlines()[-1]))
    whole = [trial for trial in after.trials if trial.state != "failed"]
    settings = [json.dumps(trial.settings, sort_keys=True) for trial in whole]
    assert len({*settings}) == len(settings) == 4
