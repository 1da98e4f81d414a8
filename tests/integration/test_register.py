"""From a trained candidate to a served version: every loader gives the answers of training."""

import json
import os
import shutil
import site
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_registry import bundle, signing
from model_registry.asking import Judged
from model_registry.errors import BundleRefused, RegistryError
from model_registry.runs import Runs
from model_registry.state import Champion
from model_registry.store import Registry
from tasks.config import Choice
from tasks.inference.fetching import fetched
from tasks.inference.fresh import ScoringFailed, score_in_fresh_process
from tests import servers, small_nights
from tests.one_room import one_room
from tests.registry import asked

TOLERANCE = 1e-5
KINDS = {"text": small_nights.TEXT, "numeric": small_nights.NUMERIC}
# A fresh process costs ten CPU seconds, so what does not depend on the input is asked once.
once = pytest.mark.parametrize("home", ["text"], indirect=True)


@pytest.fixture(scope="module", autouse=True)
def _one_room():
    with one_room():
        yield


@pytest.fixture(scope="module", params=sorted(KINDS))
def home(request, tmp_path_factory):
    """A home with a small night in it, its challenger registered."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp(request.param)
        patch.setenv("NOCTURNE_HOME", str(folder / ".nocturne"))
        patch.setenv("NOCTURNE_WORKERS", "1")
        yield Home(folder, KINDS[request.param])


class Home:
    def __init__(self, folder, content):
        from infra.settings import Settings

        self.settings = Settings()
        self.folder = folder
        self.night = small_nights.small_night(folder, content)
        self.name = self.night.pipeline.name
        self.registry = Registry(self.settings.mlflow_uri)
        self.run_id = Runs(self.settings.mlflow_uri, self.name).start("night")
        self.registered = self.register()
        self.bundle = self.settings.work / self.name / "challenger" / "bundle"

    def register(self):
        from tasks.register import register

        night = self.night
        return register.fn(
            night.pipeline,
            night.prepared,
            night.trained,
            night.evaluation,
            self.run_id,
            small_nights.DAY,
        )

    def promote(self):
        """Let the challenger be champion; once is enough."""
        from tasks.promotions import open_promotions

        promotions = open_promotions(self.night.pipeline, self.settings)
        if promotions.state().champion is None:
            judged = Judged(self.registered.version, self.registered.digest, None)
            promotions.promote(judged, asked())
        return promotions.state().champion

    @property
    def expected(self):
        """What training answered to the test rows."""
        return np.load(f"{self.night.trained[0].directory}/test_probabilities.npy")

    def source_rows(self):
        return [json.loads(line) for line in self.night.rows.read_text().splitlines()]

    def raw_test_rows(self):
        """The test rows as the source wrote them, in the order of the expected answers."""
        rows = pd.DataFrame(self.source_rows())
        test = pd.read_parquet(
            f"{self.night.prepared.directory}/rows_test.parquet", columns=["row_id"]
        )
        return rows.set_index("ticket").loc[test["row_id"]].drop(columns="topic")


def test_the_challenger_stands_in_staging_with_its_digest(home):
    version = home.registry.version(home.name, home.registered.version)
    assert (version.stage, version.aliases) == ("Staging", ("challenger",))
    assert version.digest == home.registered.digest == bundle.verify(home.bundle).digest
    assert version.tags["logical_date"] == "2026-03-01"
    assert version.run_id == home.run_id


def test_what_it_costs_is_in_the_run_of_the_night(home):
    metrics = Runs(home.settings.mlflow_uri, home.name).client.get_run(home.run_id).data.metrics
    assert metrics["bundle_golden_difference"] <= TOLERANCE
    assert metrics["bundle_milliseconds_one_row"] > 0


@once
def test_with_a_budget_the_best_candidate_is_timed_by_its_bundle_and_leaves_nothing(home):
    from tasks.evaluate import evaluate

    night = home.night
    (one,) = night.trained
    gate = Choice(name="fast_enough", options={"milliseconds": 60_000})
    asked = night.pipeline.model_copy(update={"gates": (gate,)})
    found = evaluate.fn(asked, night.prepared, (one, one.model_copy(update={"name": "twin"})))
    assert list(found.milliseconds) == [found.challenger]
    assert 0 < found.milliseconds[found.challenger] < 60_000
    assert not (home.settings.work / home.name / "timing").exists()


def test_the_version_leaves_the_rows_that_live_inputs_are_compared_with(home):
    from infra.storage import open_storage
    from tasks import reference_rows

    rows = reference_rows.read(open_storage(home.settings), home.name, home.registered.version)
    assert rows.num_rows == home.night.prepared.test_rows == len(home.expected)
    answers = np.array(rows.column("probabilities").to_pylist())
    assert np.abs(answers - home.expected).max() <= TOLERANCE
    truth = {row["ticket"]: row["topic"] for row in home.source_rows()}
    ids = rows.column("row_id").to_pylist()
    assert rows.column("truth").to_pylist() == [truth[name] for name in ids]
    classes = home.night.prepared.classes
    assert rows.column("label").to_pylist() == [classes[at] for at in answers.argmax(axis=1)]
    text = home.name == "small_text"
    assert (rows.column("text").null_count == 0) == text
    assert (rows.column("series").null_count == 0) == (not text)
    assert (rows.column("unknown").null_count == 0) == text
    assert min(rows.column("length").to_pylist()) > 0


def test_golden_rows_hold_every_class_and_at_most_32_rows(home):
    golden = json.loads((home.bundle / "golden.json").read_text())
    assert 2 <= len(golden["inputs"]) <= 32
    assert len(golden["probabilities"][0]) == 2


def test_the_seal_is_the_homes_own(home):
    key = signing.public_key_of(home.settings.signing_key)
    assert bundle.verify(home.bundle, public_key=key).signed


@once
def test_making_a_bundle_imports_neither_keras_nor_mlflow(home, tmp_path):
    trained, prepared = home.night.trained[0], home.night.prepared
    program = (
        "import sys; from pathlib import Path; from tasks.inference.assembly import assemble\n"
        f"assemble(Path({trained.directory!r}), Path({prepared.directory!r}), "
        f"{prepared.classes!r}, {{}}, into=Path({str(tmp_path / 'b')!r}), "
        f"key=Path({str(tmp_path / 'k')!r}))\n"
        "print({'keras', 'tensorflow', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


def _resealed(home, folder, name, change):
    """A copy of the bundle with one JSON file changed, sealed by the home's own key."""
    copy = shutil.copytree(home.bundle, folder / "copy")
    path = copy / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    bundle.seal(copy, home.settings.signing_key)
    return copy


@once
def test_a_preprocessor_that_is_not_the_trained_one_is_found_by_the_golden_rows(home, tmp_path):
    copy = _resealed(home, tmp_path, "preprocessor.json", lambda state: {**state, "max_length": 2})
    rows = f"{home.night.prepared.directory}/rows_test.parquet"
    with pytest.raises(ScoringFailed, match="golden rows of copy: answers differ"):
        score_in_fresh_process(copy, rows, tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()


@once
def test_a_tampered_bundle_is_refused_across_the_process_border(home, tmp_path):
    copy = shutil.copytree(home.bundle, tmp_path / "copy")
    (copy / "labels.json").write_text('["a", "b"]')
    rows = f"{home.night.prepared.directory}/rows_test.parquet"
    with pytest.raises(BundleRefused, match=r"refused: digest: digest mismatch in labels\.json"):
        score_in_fresh_process(copy, rows, tmp_path / "out.npy")


STRANGER = """
import importlib.util, json, os, sys
sys.path.append(sys.argv[1])
sys.path = [entry for entry in sys.path if entry]
assert importlib.util.find_spec("tasks") is None
assert importlib.util.find_spec("model_registry") is None
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[3]}/Production")
said = model.predict(pandas.read_json(sys.argv[4], orient="records"))
said.to_json(sys.argv[5], orient="records", double_precision=15)
"""


def test_whoever_trusts_mlflow_gets_the_answers_of_training_without_this_project(home, tmp_path):
    home.promote()
    raw = home.raw_test_rows()
    raw.to_json(tmp_path / "raw.json", orient="records")
    arguments = (home.settings.mlflow_uri, home.name, "raw.json", "said.json")
    done = subprocess.run(
        [sys.executable, "-S", "-c", STRANGER, site.getsitepackages()[0], *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = pd.read_json(tmp_path / "said.json", orient="records")
    columns = [f"probability_{name}" for name in home.night.prepared.classes]
    assert said.columns.tolist() == ["label", *columns]
    assert np.abs(said[columns].to_numpy() - home.expected).max() <= TOLERANCE
    likeliest = np.array(home.night.prepared.classes)[home.expected.argmax(axis=1)]
    assert said["label"].tolist() == likeliest.tolist()


@pytest.mark.slow
def test_mlflow_serves_production_over_http(home, tmp_path):
    home.promote()
    port = servers.free_port()
    raw = home.raw_test_rows().head(3)
    arguments = ["mlflow", "models", "serve", "-m", f"models:/{home.name}/Production"]
    arguments += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as after `activate`
    environment = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": home.settings.mlflow_uri}
    health = f"http://127.0.0.1:{port}/health"
    with servers.running(arguments, health, tmp_path / "log", environment=environment):
        body = {"dataframe_split": json.loads(raw.to_json(orient="split", index=False))}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            said = pd.DataFrame(json.load(response)["predictions"])
    assert np.abs(said.iloc[:, 1:].to_numpy() - home.expected[:3]).max() <= TOLERANCE


@once
def test_the_champion_answers_tonights_rows_as_its_training_did(home):
    from tasks.register import score_champion

    champion = home.promote()
    scores = score_champion.fn(home.night.pipeline, home.night.prepared, champion)
    assert (scores.version, scores.digest) == (home.registered.version, home.registered.digest)
    assert np.abs(np.load(scores.probabilities) - home.expected).max() <= TOLERANCE


def test_a_version_is_fetched_once_and_again_when_the_copy_is_damaged(home, tmp_path):
    champion = Champion(home.registered.version, home.registered.digest, 1)
    asked_for = (home.registry, home.name, champion, tmp_path)
    key = signing.public_key_of(home.settings.signing_key)
    place, manifest = fetched(*asked_for, key)
    before = (place / "labels.json").stat().st_ino
    assert fetched(*asked_for, key) == (place, manifest)
    assert (place / "labels.json").stat().st_ino == before
    (place / "labels.json").write_text('["a", "b"]')
    assert fetched(*asked_for, key) == (place, manifest)
    assert json.loads((place / "labels.json").read_text()) == list(home.night.prepared.classes)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_without_a_champion_there_are_no_scores_and_no_batch(home, tmp_path):
    from tasks.register import score_champion
    from tasks.score import score_batch

    nobody = home.night.pipeline.model_copy(update={"name": "nobody"})
    assert score_champion.fn(nobody, home.night.prepared, None) is None
    with pytest.raises(RegistryError, match="nothing is in Production to score with"):
        score_batch.fn(nobody, str(home.night.rows), str(tmp_path / "out.csv"))


READERS = {"small_text": ("csv", pd.read_csv), "small_numeric": ("parquet", pd.read_parquet)}


def test_a_batch_is_answered_row_by_row_or_rejected_with_a_reason(home, tmp_path):
    """Each way of writing has tests of its own; a batch costs a fresh process."""
    from tasks.score import score_batch

    home.promote()
    ending, reader = READERS[home.name]
    raw = home.raw_test_rows().reset_index()
    bad = dict.fromkeys(home.source_rows()[0]) | {"ticket": "bad"}
    source, target = tmp_path / "rows.jsonl", tmp_path / f"out.{ending}"
    lines = [json.dumps(row) for row in [bad, *json.loads(raw.to_json(orient="records"))]]
    source.write_text("\n".join(lines) + "\n")
    told = score_batch.fn(home.night.pipeline, str(source), str(target))
    assert (told.rows, told.scored, told.rejected) == (len(raw) + 1, len(raw), 1)
    found = reader(target)
    assert found["ticket"].tolist() == raw["ticket"].tolist()
    columns = [f"probability_{name}" for name in home.night.prepared.classes]
    assert np.abs(found[columns].to_numpy() - home.expected).max() <= TOLERANCE
    assert set(found["version"].astype(str)) == {home.registered.version}
    rejects = pd.read_csv(told.rejects)
    assert rejects["ticket"].tolist() == ["bad"]
    assert rejects["reason"].str.contains("is missing").all()
    assert not list(tmp_path.glob(".*partial"))
