"""A home whose registry holds versions that really answer, and a server over it."""

import http.client
import json
import os
import shutil
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from model_registry.asking import Judged
from model_registry.bundle import seal
from tests.registry import Toys, asked
from tests.servers import free_port, running
from tests.small_nights import texts, waves

NAME = Toys.name
TEXT = {"label": "topic", "text": "body"}
NUMERIC = {"label": "topic", "sequence": ["left", "right"]}
MAX_LENGTH = 24


@dataclass(frozen=True)
class Live:
    """Versions of the model `toys` in an MLflow store, and a pipeline file that names them."""

    toys: Toys
    conf: Path

    @property
    def home(self) -> Path:
        return self.toys.folder

    @property
    def serving(self) -> Path:
        return self.home / "work" / NAME / "serving"

    def add(self, marker: str, *, seed: int, columns=None, golden_off=0.0):
        """Register a version with a small model of random weights that its golden rows match."""
        directory = self.home / "bundles" / marker
        if not directory.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of Keras about NumPy
                write_bundle(directory, self.toys.key, columns or TEXT, seed, golden_off)
        return self.toys.add(marker)

    def like(self, marker: str, other: str, *, golden_off: float):
        """Register a version with the model of another one, whose golden rows say otherwise."""
        directory = self.home / "bundles" / other
        shutil.copytree(self.home / "bundles" / marker, directory)
        path = directory / "golden.json"
        golden = json.loads(path.read_text())
        golden["probabilities"] = [[p + golden_off for p in row] for row in golden["probabilities"]]
        path.write_text(json.dumps(golden))
        seal(directory, self.toys.key)
        return self.toys.add(other)

    def promote(self, version: str):
        """A version into Production by a person's word."""
        promotions = self.toys.promotions()
        digest = self.toys.registry.version(NAME, version).digest
        judged = Judged(version, digest, promotions.state().champion)
        return promotions.promote(judged, asked(person=True))

    def golden(self, marker: str):
        """Inputs and training's answers of a version's golden rows."""
        return json.loads((self.home / "bundles" / marker / "golden.json").read_text())

    def environment(self, **variables):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("NOCTURNE_", "PYTEST_"))}
        own = {"NOCTURNE_HOME": str(self.home), "NOCTURNE_MLFLOW_URL": self.toys.uri}
        contained = {"NOCTURNE_SERVE_AS_ROOT": "1"}  # containers run tests as uid 0
        return kept | own | contained | variables

    @contextmanager
    def server(self, *options, log: Path, **variables):
        """`nocturne serve`, once a version is live; yields its port and process."""
        port = free_port()
        command = ["flows.cli", "serve", str(self.conf), "--port", str(port), *options]
        health = f"http://127.0.0.1:{port}/v2/health/live"
        environment = self.environment(**variables)
        with running(command, health, log, environment=environment) as process:
            yield Asking(port, process, log)


class Asking:
    """A client of one server, one connection kept alive."""

    def __init__(self, port, process, log):
        self.port, self.process, self.log = port, process, log
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, path, content=None, *, method=None, headers=None, raw=None):
        """Status, headers and content of one answer."""
        body = raw if raw is not None else None if content is None else json.dumps(content)
        given = {"content-type": "application/json"} if body is not None else {}
        verb = method or ("GET" if body is None else "POST")
        self.connection.request(verb, path, body, given | (headers or {}))
        response = self.connection.getresponse()
        data = response.read()
        with suppress(ValueError):
            data = json.loads(data)
        return response.status, response.headers, data

    def ready(self):
        return self("/v2/health/ready")[2]


def write_bundle(directory, key, columns, seed, golden_off=0.0):
    """A sealed bundle: preprocessing really fitted, an LSTM of random weights."""
    import keras

    from tasks.architectures.bidirectional_lstm import bidirectional_lstm
    from tasks.config import Preprocessing
    from tasks.inference.assembly import write_bundle as write
    from tasks.inference.classifier import SequenceClassifier
    from tasks.sequences.preprocessor import fit_preprocessor

    kind = "text" if "text" in columns else "numeric"
    rows = frame_of(kind)
    preprocessor = fit_preprocessor(kind, Preprocessing(max_length=MAX_LENGTH), rows)
    keras.utils.set_random_seed(seed)
    model = bidirectional_lstm(preprocessor.spec, 2, units=8, embedding=8)
    classifier = SequenceClassifier(preprocessor, model, ["no", "yes"])
    directory.mkdir(parents=True)
    model.save(directory / "model.keras")
    golden = rows.iloc[:16].reset_index(drop=True)
    answers = classifier.predict_proba(golden) + np.float32(golden_off)
    pipeline = {"name": NAME, "columns": {"text": None, "sequence": [], **columns}}
    write(directory, preprocessor.to_json(), classifier.classes, pipeline, (golden, answers))
    seal(directory, key)


def frame_of(kind, count=200):
    """Canonical rows of the small nights' sources."""
    if kind == "text":
        return pd.DataFrame({"text": pd.Series([t["body"] for t in texts(count)], dtype="str")})
    from tasks.sequences.series import SERIES

    series = [list(map(list, zip(row["left"], row["right"], strict=True))) for row in waves(count)]
    return pd.DataFrame({"series": pd.Series(series, dtype=pd.ArrowDtype(SERIES))})


def bodies(count=200):
    return [ticket["body"] for ticket in texts(count)]


def live_in(folder: Path, empty_store: Path, columns=None, **serving) -> Live:
    """An empty registry and a pipeline file in a folder."""
    shutil.copy(empty_store, folder / "mlflow.db")
    content = {
        "name": NAME,
        "source": {"reader": "synthetic"},
        "columns": columns or TEXT,
        "candidates": [{"name": "a", "architecture": "bidirectional_lstm"}],
        "serving": {"poll_seconds": 0.2, **serving},
    }
    conf = folder / "toys.yaml"
    conf.write_text(yaml.safe_dump(content))
    return Live(Toys(folder, f"sqlite:///{folder / 'mlflow.db'}"), conf)


def compile_here(live: Live, *versions: str) -> None:
    """Make versions ready in this process, which has Keras in memory already."""
    from infra.settings import Settings
    from model_registry.state import Champion
    from serving.compiling import make_ready

    settings = Settings(home=live.home, mlflow_url=live.toys.uri)
    for version in versions:
        digest = live.toys.registry.version(NAME, version).digest
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make_ready(NAME, Champion(version, digest, 0), live.serving, settings)


def same_graph(live: Live, version: str, other: str) -> None:
    """Have a version of the same model ready without compiling it again."""
    from model_registry.state import Champion
    from serving.places import Places

    versions = (live.toys.registry.version(NAME, one) for one in (version, other))
    champions = [Champion(one.version, one.digest, 0) for one in versions]
    compiled = [Places(live.serving).compiled(champion) for champion in champions]
    shutil.copytree(*compiled)
    compile_here(live, other)
