"""What MLflow keeps under one address, in whatever kind of store: how much, and away with it."""

from __future__ import annotations

from typing import Any


def size(repository: Any, folder: str | None = None) -> int:
    """Bytes of all files below a folder of MLflow's artifact store; 0 where there are none."""
    return sum(
        size(repository, one.path) if one.is_dir else one.file_size or 0
        for one in _inside(repository, folder)
    )


def remove(repository: Any) -> None:
    """Delete all files, entry by entry, so that a deletion that was killed can go on."""
    for one in _inside(repository, None):
        repository.delete_artifacts(one.path)


def _inside(repository: Any, folder: str | None) -> list[Any]:
    try:
        return list(repository.list_artifacts(folder))
    except FileNotFoundError:
        return []
