"""A small pipeline and the command line run for real, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.prefect_database import with_empty_database

ROOT = Path(__file__).parents[1]

SMALL_PIPELINE = {
    "name": "small",
    "source": {"reader": {"name": "synthetic", "options": {"days": 24}}},
    "columns": {
        "id": "ticket_id",
        "label": "topic",
        "text": "text",
        "time": "created_at",
        "group": "customer_id",
    },
    "contract": {"min_rows": 300, "min_rows_per_class": 3, "max_length": 400},
    "preprocessing": {"max_length": 16},
    "split": {"validation": 0.2, "test": 0.25},
    "training": {"epochs": 3, "min_updates": 0, "batch_size": 32, "learning_rate": 0.01},
    "candidates": [
        {
            "name": "floor",
            "architecture": {"name": "averaged_embeddings", "options": {"embedding": 4}},
            "training": {"epochs": 1, "learning_rate": 0.0005},
        },
        {
            "name": "lstm",
            "architecture": {
                "name": "bidirectional_lstm",
                "options": {"units": 16, "embedding": 32},
            },
            "resampling": "random_over",
        },
    ],
    "evaluation": {"slices": ["channel"], "bootstrap_samples": 200},
}


EACH = """
import contextlib, io, json, sys
from flows.cli import app
from infra import collecting
collecting.rarely()
told = []
for arguments in json.loads(sys.argv[1]):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(arguments)
        except SystemExit as ended:
            code = ended.code or 0
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Answer:
    """How one call of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Home:
    """A folder of its own, with everything embedded in it."""

    path: Path
    variables: dict[str, str]

    def nocturne(self, *arguments: str, timeout_seconds: float = 1_500) -> Answer:
        """Run the command as a user would, and wait."""
        result = self.python("-m", "flows.cli", *arguments, timeout_seconds=timeout_seconds)
        return Answer(result.returncode, result.stdout, result.stderr)

    def one_after_another(self, *calls: Sequence[str]) -> list[Answer]:
        """Several calls in one process, which imports the libraries once for all of them."""
        result = self.python("-c", EACH, json.dumps(calls))
        assert result.returncode == 0, result.stderr
        return [Answer(*told) for told in json.loads(result.stdout)]

    def started(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Run the command and do not wait; `tests.servers.stop` ends it."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *arguments],
                cwd=self.path,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def python(
        self, *arguments: str, timeout_seconds: float = 1_500
    ) -> subprocess.CompletedProcess[str]:
        """Run Python there with these words, and wait."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a fresh machine plus this home's own."""
        foreign = ("NOCTURNE_", "PREFECT_", "MLFLOW_", "KERAS_", "PYTEST_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return kept | self.variables

    def write(self, pipeline: dict[str, Any], **changes: Any) -> str:
        """Write a pipeline file, with keys replaced; returns its path for the command line."""
        content = {**pipeline, **changes}
        path = self.path / "conf" / f"{content['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return str(path)


def home_in(path: Path, **variables: str) -> Home:
    """A home whose places are all below `path`, unless a variable says otherwise."""
    return Home(path, {"NOCTURNE_HOME": str(path / ".nocturne"), **variables})


def night_home_in(path: Path, **variables: str) -> Home:
    """The same, but a first night finds an empty database of Prefect there already."""
    with_empty_database(path / ".nocturne" / "prefect")
    return home_in(path, **variables)
