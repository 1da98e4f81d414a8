"""The short form of the accuracy benchmark: `init` and one night on real sets, by the command line.

Few rows, few epochs and one candidate, so the bars are sane ones and no published figures.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.command_line import night_home_in

PLACE = os.environ.get("NOCTURNE_REAL_DATA")
pytestmark = pytest.mark.skipif(
    not PLACE, reason="set NOCTURNE_REAL_DATA to the folder of the real data sets"
)
ROWS = 1_800
OFFICIAL = ("--label", "label", "--split", "split")


def speakers(_):
    """Series in the long format, their labels in a second file."""
    folder = Path(str(PLACE)) / "japanese_vowels"
    labels = ("--labels", str(folder / "labels.csv"))
    long = ("--sequence", "--id", "id", "--step", "step")
    return [str(folder / "series.parquet"), *OFFICIAL, *labels, *long]


def questions(folder):
    """All official test questions and some of the others."""
    frame = pd.read_csv(Path(str(PLACE)) / "trec" / "data.csv", dtype=str)
    test = frame[frame["split"] == "test"]
    rest = frame[frame["split"] != "test"].sample(ROWS - len(test), random_state=1)
    pd.concat([rest, test]).to_csv(folder / "questions.csv", index=False)
    return ["questions.csv", *OFFICIAL, "--text", "text"]


SOURCES = (speakers, questions)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all of them: the databases of a home are made but once."""
    return night_home_in(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def drafts(home):
    """What `init` answers to each set, by the name of what names its files and columns."""
    asked = [
        ("init", *source(home.path), "--name", source.__name__, "--json") for source in SOURCES
    ]
    told = home.one_after_another(*asked)
    return {source.__name__: answer for source, answer in zip(SOURCES, told, strict=True)}


@pytest.mark.parametrize(
    ("name", "test_rows", "epochs", "folds", "bar"),
    [("speakers", 370, 12, 2, 0.85), ("questions", 500, 5, 0, 0.6)],
)
def test_a_drafted_pipeline_promotes_a_model_that_has_learnt(
    name, test_rows, epochs, folds, bar, home, drafts
):
    begun = drafts[name]
    assert begun.code == 0, begun.out + begun.err
    night = home.nocturne("retrain", _shortened(home, begun, epochs, folds), "--json")
    assert night.code == 0, night.out + night.err
    record = night.json
    assert (record["outcome"], record["stage"]) == ("promoted", "Production")
    answers = record["test_metrics"]
    assert answers["accuracy"] > bar
    assert answers["macro_f1"] > bar - 0.15
    gates = {gate["gate"]: gate for gate in record["verdict"]["gates"]}
    assert gates["beats_majority"]["passed"], gates["beats_majority"]["sentence"]
    (judged_on,) = (home.path / ".nocturne").rglob(f"{name}/prepared/*/rows_test.parquet")
    assert len(pd.read_parquet(judged_on)) == test_rows
    (candidate,) = _children(home, record["run_id"])
    assert len(_children(home, candidate)) == folds


def _children(home, run_id):
    """Runs that MLflow shows inside another."""
    with closing(sqlite3.connect(home.path / ".nocturne" / "mlflow.db")) as database:
        found = database.execute(
            "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?", (run_id,)
        )
        return [run for (run,) in found]


def _shortened(home, begun, epochs, folds):
    """The drafted pipeline with its first candidate that reads order, and few epochs."""
    drafted = home.path / begun.json["pipeline"]
    content = yaml.safe_load(drafted.read_text())
    one = next(each for each in content["candidates"] if "embeddings" not in str(each))
    content["training"] |= {"epochs": epochs, "min_updates": 0, "batch_size": 32}
    content["training"] |= {"learning_rate": 0.005, "weight_averaging": 0.0}  # too few to average
    content |= {"folds": folds, "fold_ensemble": folds > 0, "candidates": [one]}
    drafted.write_text(yaml.safe_dump(content))
    return str(drafted)
