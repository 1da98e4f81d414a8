"""A registry of toy versions on a real SQLite store, and the code MLflow would serve them with."""

import shutil
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.local import LocalStorage
from model_registry.asking import Asked, Judged
from model_registry.fitness import Fitness
from model_registry.ledger import Ledger
from model_registry.mirror import MlflowMirror
from model_registry.protocol import Promotions
from model_registry.runs import Runs
from model_registry.served import ServedModel
from model_registry.signing import public_key_of
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
    def key(self):
        return self.folder / "keys" / "signing.key"

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

    @property
    def ledger(self):
        return Ledger(LocalStorage(self.folder / "store"), self.name)

    @property
    def mirror(self):
        return MlflowMirror(self.registry, self.name)

    @property
    def unfit(self):
        return Fitness(self.registry, self.name, public_key_of(self.key))

    def promotions(self, on_hand_change="revert"):
        """As a new process would open them."""
        return Promotions(self.ledger, self.mirror, unfit=self.unfit, on_hand_change=on_hand_change)

    def judged(self, marker):
        """A new version, judged against who is champion now."""
        version = self.add(marker)
        return Judged(version.version, version.digest, self.promotions().state().champion)

    def promote(self, *markers):
        """One version after the other, as nights would; the last outcome."""
        for marker in markers:
            outcome = self.promotions().promote(self.judged(marker), asked(f"night {marker}"))
        return outcome

    def production(self):
        """Versions in Production, and where the alias points."""
        serving = [v.version for v in self.registry.versions(self.name) if v.stage == "Production"]
        return serving, self.registry.aliases(self.name).get("champion")


def moved(toys, folder):
    """The same versions and runs in a folder of their own, which MLflow's rows name instead."""
    shutil.copytree(toys.folder, folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        tables = "select name from sqlite_master where type = 'table'"
        for (table,) in database.execute(tables).fetchall():
            for _, column, kind, *_ in database.execute(f"pragma table_info({table})").fetchall():
                if kind.startswith(("VARCHAR", "TEXT")):
                    change = f'update {table} set "{column}" = replace("{column}", ?, ?)'
                    database.execute(change, (str(toys.folder), str(folder)))
    return Toys(folder, f"sqlite:///{folder / 'mlflow.db'}")


def asked(request=None, *, person=False):
    """Somebody wants something, because."""
    return Asked(request or uuid.uuid4().hex, "tests", "because", datetime.now(UTC), person)
