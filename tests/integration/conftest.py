"""An MLflow store of its own for each test, its migrations run once."""

import shutil

import pytest

from model_registry.connection import connect
from tests.registry import Toys


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def toys(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Toys(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
