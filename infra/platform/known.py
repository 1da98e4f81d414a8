"""What verbs of the same home know of the servers of `nocturne up`: `HOME/servers.json`.

Without it a night beside a running platform would write to the embedded SQLite file, and the
ledger would speak of versions that the platform's MLflow never saw.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import write_whole

NAMES = ("mlflow_url", "prefect_url")
PATIENCE_SECONDS = 0.5


def servers(home: Path) -> dict[str, str]:
    """Addresses by setting (`mlflow_url`, `prefect_url`); none where nobody wrote any.

    A server that nobody listens for is left out, so that a file which outlived its platform
    harms nobody; but an MLflow on PostgreSQL is the only place of this home's registry, and
    stays: that it is away must be said, not gone around.
    """
    try:
        said = json.loads(_file(home).read_text("utf-8"))
        urls = {name: str(said[name]) for name in NAMES if said.get(name)}
        kept = frozenset(said.get("kept", ()))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
    return {name: url for name, url in urls.items() if name in kept or _listens(url)}


def write(home: Path, urls: Mapping[str, str], *, kept: tuple[str, ...] = ()) -> None:
    """Let verbs of this home find these servers; those of `kept` also while they are down."""
    content = {**urls, "kept": list(kept)}
    write_whole(_file(home), lambda file: file.write(json.dumps(content, indent=2).encode()))


def forget(home: Path) -> None:
    """Verbs of this home are on their own again, but for what is kept."""
    try:
        said = json.loads(_file(home).read_text("utf-8"))
        stay = {name: said[name] for name in said.get("kept", ()) if name in said}
    except (OSError, ValueError, AttributeError, TypeError):
        stay = {}
    if stay:
        write(home, stay, kept=tuple(stay))
    else:
        _file(home).unlink(missing_ok=True)


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE_SECONDS):
            return True
    except OSError:
        return False


def _file(home: Path) -> Path:
    return home / "servers.json"
