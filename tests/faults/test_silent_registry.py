"""A rollback does not wait for an MLflow that takes connections and says nothing."""

import time

from infra.local import LocalStorage
from model_registry.ledger import Ledger
from model_registry.protocol import Promotions
from tests.command_line import SMALL_PIPELINE
from tests.faults.promoting import FolderMirror, Place, asked
from tests.s3_server import silent


class Pipelines(Place):
    """The ledger of the small pipeline in a home, with a page that is a folder."""

    def __init__(self, home):
        super().__init__(home.path / "page")
        self.store = LocalStorage(home.path / ".nocturne" / "store")
        self.ledger = Ledger(self.store, SMALL_PIPELINE["name"])

    def promotions(self, points=None):
        mirror = FolderMirror(self.home / "mirror")
        return Promotions(self.ledger, mirror, unfit=mirror.unfit)


def test_a_rollback_is_quick_while_mlflow_is_silent(home):
    place = Pipelines(home).promoted("1", "2")
    conf = home.write(SMALL_PIPELINE)
    with silent() as port:
        home.variables["NOCTURNE_MLFLOW_URL"] = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        told = home.nocturne("rollback", conf, "--reason", "it answers nonsense", "--json")
        took = time.monotonic() - began
    print(f"rolled back in {took:.1f} s")
    assert told.code == 0, told.err
    assert told.json["champion_after"] == "1"
    assert "when it answers again" in told.json["in_mlflow"]
    assert took < 20, "10 s are promised, the rest is for a busy machine"
    assert place.promotions().state().barred == {"2": told.json["entry"]}
    place.promotions().reconcile(asked())
    assert place.mirror.standing().production == {"1"}
