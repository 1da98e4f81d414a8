"""A registry of toy versions on a real SQLite store, and the code MLflow would serve them with."""

from dataclasses import dataclass
from pathlib import Path

from model_registry.runs import Runs
from model_registry.served import ServedModel
from model_registry.stages import move
from model_registry.store import Registry
from tests.bundles import sealed_bundle

ENTRY = """\
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Toy(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return model_input


set_model(Toy())
"""


@dataclass(frozen=True)
class Toys:
    """A model named `toys` whose versions hold hand-written bundles."""

    folder: Path
    uri: str

    name = "toys"

    @property
    def registry(self):
        return Registry(self.uri)

    @property
    def lock(self):
        return self.folder / "promotion.lock"

    @property
    def key(self):
        return self.folder / "signing.key"

    def add(self, marker, **tags):
        """Register one more version; the same marker gives the same bundle."""
        entry = self.folder / "entry.py"
        entry.write_text(ENTRY)
        served = ServedModel(entry, (), ("numpy==2.4.6",), {"text": "string"}, {"label": "string"})
        directory = self.folder / "bundles" / marker
        if not directory.exists():
            sealed_bundle(directory, self.key, marker)
        runs = Runs(self.uri, self.name)
        run_id = runs.start("night")
        return self.registry.register(self.name, directory, served, run_id=run_id, tags=tags)

    def move(self, version, stage, expected=None, **changes):
        """Move a version as a night would."""
        options = {"lock_path": self.lock, "reason": "better", "by": "tests", **changes}
        return move(self.registry, self.name, version, stage, expected_champion=expected, **options)

    def production(self):
        """Versions in Production, and where the alias points."""
        serving = [v.version for v in self.registry.versions(self.name) if v.stage == "Production"]
        return serving, self.registry.aliases(self.name).get("champion")
