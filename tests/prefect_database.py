"""Prefect's database without a run in it: making one costs a server six seconds of processor."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

NAME = "prefect.db"


@cache
def empty_prefect_database():
    """Made once for this version of Prefect and this user, however many workers ask."""
    folder = Path(tempfile.gettempdir()) / f"nocturne-tests-{os.getuid()}" / version("prefect")
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / NAME
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            new = folder / "new"
            shutil.rmtree(new, ignore_errors=True)
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            own = {"PREFECT_HOME": str(new), "DO_NOT_TRACK": "true"}
            kept = {key: v for key, v in os.environ.items() if not key.startswith("PREFECT_")}
            subprocess.run(command, env=kept | own, check=True, capture_output=True)
            (new / NAME).replace(made)
            shutil.rmtree(new)
    return made


def with_empty_database(prefect_home):
    """A `PREFECT_HOME` whose server need not make its database."""
    prefect_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_prefect_database(), prefect_home / NAME)
    return prefect_home
