"""Jobs on a real Ray cluster: the same numbers as here, and a kill costs only its task."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from infra.cluster import NoCluster
from tasks.candidates.cluster import misfit_of_node, reached
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Training
from tasks.questions import TRAINING, code
from tasks.references import Trained
from tasks.replaying import same_weights
from tests.command_line import SMALL_PIPELINE, home_in, night_home_in
from tests.contracts.order_rows import CLASSES, SPEC, splits_in
from tests.faults.nights import DAY
from tests.platforms import until
from tests.ray_cluster import members, ray_cluster, two_nodes
from tests.servers import free_port

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"
)

BRIEF = Training(epochs=3, min_updates=0, batch_size=16)
LONG = Training(epochs=5_000, min_updates=0, patience=5_000, batch_size=16)
LSTM = {"name": "stacked_lstm", "options": {"units": 4, "layers": 1, "embedding": 4}}
HELD = "out_of_fold_probabilities.npy"

DRIVER = """
import json, logging, sys
from infra.stopping import stoppable
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
jobs = [Job.model_validate_json(line) for line in sys.argv[2:]]
enough = lambda job, step, value: job.name == "doomed" and step >= 2
with stoppable():
    ended = run_all(jobs, workers=int(sys.argv[1]), on_value=enough)
print("ENDED", json.dumps([one.model_dump(mode="json") for one in ended]))
"""


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as clients:
        yield clients


@contextmanager
def driver(clients, home, jobs, workers=1):
    """Asks the cluster; Ray reads its environment when it is imported, so not in this process."""
    said = [each.model_dump_json() for each in jobs]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(workers), *said],
        env={**os.environ, **clients, "NOCTURNE_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def heard(process):
    """Everything a driver says, and how its jobs ended."""
    lines = list(process.stdout)
    assert lines[-1].startswith("ENDED "), "".join(lines)
    told = json.loads(lines[-1].removeprefix("ENDED "))
    return "".join(lines), [Trained.model_validate(one) for one in told]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return splits_in(tmp_path_factory.mktemp("prepared"))


def job(prepared, out, **given):
    common = {"architecture": LSTM, "resampling": "random_over", "training": BRIEF, "seed": 4}
    common |= {"classes": CLASSES, "spec": SPEC, "prepared": str(prepared), "name": out.name}
    return Job(**{**common, "out": str(out), **given})


def seats(clients):
    """Processes of the cluster that hold a place for a job."""
    return [process for process in members(clients) if process.name().startswith("ray::Seat")]


def test_a_killed_process_costs_its_job_a_try_and_the_model_is_the_one_trained_here(
    cluster, prepared, tmp_path
):
    folded = {"folds": 2, "fold_ensemble": True, "key": "one question"}
    asked = job(prepared, tmp_path / "ray" / "folded", **folded)
    wrong = {"name": "stacked_lstm", "options": {"unit": 4}}
    others = [
        job(prepared, tmp_path / "doomed", trial=True, training=LONG),
        job(prepared, tmp_path / "misspelt", architecture=wrong),
    ]
    with driver(cluster, tmp_path, [*asked.apart(), asked, *others]) as process:
        assert any("fold 1 of 2: 2 of 3" in line for line in process.stdout)
        (seat,) = seats(cluster)
        seat.kill()
        said, (one, two, there, doomed, misspelt) = heard(process)
    assert said.count("its process on the cluster died, it is tried again") == 1
    assert "goes on after epoch" in said
    assert [each.failed for each in (one, two, there)] == [None, None, None]
    assert doomed.failed == "ended early"
    assert "did you mean 'units'" in misspelt.failed
    (here,) = run_all([job(prepared, tmp_path / "here" / "folded", **folded)], workers=1)
    models = [Path(each.directory) / "model.keras" for each in (there, here)]
    assert same_weights(*models)
    assert there.validation == here.validation
    assert there.folds == here.folds
    answers = [(Path(each.directory) / HELD).read_bytes() for each in (there, here)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_nothing_goes_on_there_when_whoever_asked_has_ended(cluster, prepared, tmp_path, number):
    long = job(prepared, tmp_path / "long", training=LONG)
    with driver(cluster, tmp_path, [long]) as process:
        assert any("long: " in line for line in process.stdout)
        (seat,) = seats(cluster)
        family = [seat, *seat.children(recursive=True)]
        assert len(family) == 3
        process.send_signal(number)
        assert process.wait() == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    deadline = time.monotonic() + 120
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [each for each in family if alive(each)]


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        (f"127.0.0.1:{free_port()}", 1, "no cluster answers at"),
        (f"ray://127.0.0.1:{free_port()}", 1, "no cluster answers at"),
        ("nonsense", 2, "expected local, auto, HOST:PORT or ray://HOST:PORT"),
        ("spark://host:1", 2, "expected local, auto, HOST:PORT or ray://HOST:PORT"),
    ],
    ids=["a head", "from outside", "no address", "another scheme"],  # ports differ by worker
)
def test_a_cluster_that_does_not_answer_is_told_at_once(monkeypatch, address, code, said):
    monkeypatch.setenv("NOCTURNE_RAY", address)
    began = time.monotonic()
    with pytest.raises(NoCluster, match="NOCTURNE_RAY: ") as raised:
        reached()
    assert said in str(raised.value)
    assert raised.value.exit_code == code
    assert time.monotonic() - began < 30


def test_a_night_whose_cluster_does_not_answer_does_not_begin(tmp_path):
    home = home_in(tmp_path, NOCTURNE_RAY=f"127.0.0.1:{free_port()}")
    answer = home.nocturne("retrain", home.write(SMALL_PIPELINE))
    assert answer.code == 1
    assert answer.err.startswith("error: NOCTURNE_RAY: no cluster answers at 127.0.0.1:")
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / ".nocturne" / "work").exists()


def write_days(path, days=9, rows=40):
    """Dated rows whose class is in their words."""
    generator = random.Random(3)
    lines = ["id,label,text,time"]
    for number in range(days * rows):
        label = generator.choice(("bill", "crash", "parcel"))
        words = generator.choices(("my", "is", "late", "again", "the", label), k=8)
        time = f"2026-03-{1 + number // rows:02}T{number % 24:02}:00:00Z"
        lines.append(f"r{number},{label},{' '.join(words)},{time}")
    path.write_text("\n".join(lines))


@pytest.mark.slow
def test_nights_of_a_backtest_side_by_side_are_those_of_one_after_the_other(cluster, tmp_path):
    models, told = [], []
    for name, variables in {"there": {**cluster, "NOCTURNE_WORKERS": "2"}, "here": {}}.items():
        (tmp_path / name).mkdir()
        home = home_in(tmp_path / name, **variables)
        write_days(tmp_path / name / "days.csv")
        reader = {"reader": {"name": "csv", "options": {"path": "days.csv"}}}
        columns = {each: each for each in ("id", "label", "text", "time")}
        changed = {"source": reader, "columns": columns, "evaluation": {"bootstrap_samples": 200}}
        changed["candidates"] = SMALL_PIPELINE["candidates"][:1]
        conf = home.write(SMALL_PIPELINE, **changed)
        answer = home.nocturne("backtest", conf, "--from=2026-03-06", "--to=2026-03-08", "--json")
        assert answer.code == 0, answer.out + answer.err
        told.append(answer.json["policies"])
        models.append(sorted((tmp_path / name).rglob("candidates/*/model.keras")))
    assert told[0] == told[1]
    assert len(models[0]) == 3
    assert all(same_weights(*pair) for pair in zip(*models, strict=True))


def night_in(path, **variables):
    """A home, and its pipeline: two candidates long enough for a node to die meanwhile."""
    path.mkdir()
    home = night_home_in(path, **variables)
    lstm = {**SMALL_PIPELINE["candidates"][1], "training": {"epochs": 8, "patience": 8}}
    both = [{**lstm, "name": "left"}, {**lstm, "name": "right", "resampling": "random_under"}]
    return home, home.write(SMALL_PIPELINE, candidates=both)


def measured(home, conf):
    """What a night's record says of its models and of what became of them."""
    answer = home.nocturne("retrain", conf, "--date", DAY, "--json")
    assert answer.code == 0, answer.err
    told = ("outcome", "challenger", "reason", "test_metrics", "class_recall")
    return {key: answer.json[key] for key in told}


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network for the nodes")
def test_a_night_on_two_nodes_is_the_one_of_this_machine_though_one_node_dies(tmp_path):
    log = tmp_path / "night.txt"
    with two_nodes() as nodes:
        there, conf = night_in(tmp_path / "there", **nodes.clients, NOCTURNE_WORKERS="2")
        words = [*nodes.within, sys.executable, "-m", "flows.cli", "retrain", conf, "--date", DAY]
        with log.open("wb") as said:
            night = subprocess.Popen(
                words, cwd=there.path, env=there.environment, stdout=said, stderr=said
            )
        begun = [f"{name}/resume/*.npz" for name in ("left", "right")]
        until(lambda: all(any(there.path.rglob(each)) for each in begun), 300)
        taken = [nodes.second in seat.parents() for seat in seats(nodes.clients)]
        assert sorted(taken) == [False, True]
        nodes.lose_second()
        assert night.wait(600) == 0, log.read_text()
    assert log.read_text().count("its process on the cluster died, it is tried again") == 1
    assert log.read_text().count("goes on after epoch") == 1
    here, same = night_in(tmp_path / "here")
    assert measured(home_in(there.path), conf) == measured(here, same)
    models = [sorted(home.path.rglob("candidates/*/model.keras")) for home in (there, here)]
    assert len(models[0]) == 2
    assert all(same_weights(*pair) for pair in zip(*models, strict=True))


@pytest.mark.slow
def test_a_machine_outside_the_cluster_asks_it_too(cluster, prepared, tmp_path):
    outside = {**cluster, "NOCTURNE_RAY": cluster["OUTSIDE"]}
    jobs = [job(prepared, tmp_path / name) for name in ("one", "two", "three")]
    with driver(outside, tmp_path, jobs, workers=2) as process:
        _, ended = heard(process)
    assert [each.failed for each in ended] == [None] * 3
    models = [Path(each.directory) / "model.keras" for each in ended]
    assert same_weights(models[0], models[1])
    assert same_weights(models[0], models[2])


def test_a_node_that_does_not_fit_says_why(tmp_path):
    digest = code(TRAINING)
    (tmp_path / "mark").touch()
    assert misfit_of_node(str(tmp_path / "mark"), digest) is None
    assert "does not see" in misfit_of_node(str(tmp_path / "away" / "mark"), digest)
    assert "has other code" in misfit_of_node(str(tmp_path / "mark"), "another")
