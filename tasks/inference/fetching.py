"""A version's bundle at hand: downloaded once, verified every time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from model_registry.bundle import Manifest, verify
from model_registry.errors import BundleRefused
from model_registry.state import Champion
from model_registry.store import Registry


def fetched(
    registry: Registry, name: str, champion: Champion, folder: Path, public_key: Path
) -> tuple[Path, Manifest]:
    """The champion's verified bundle in a private directory, downloaded only once.

    Args:
        registry: Asked only where the bundle is not at hand, whole, already.
        name: The registered model.
        champion: The ledger's; its digest decides, not the registry's row.
        folder: Holds a directory a bundle.
        public_key: Whose signature the bundle must carry.

    Raises:
        BundleRefused: what the registry holds is not what was registered.
        RegistryError: the version has no files, or MLflow does not answer.
    """
    place = folder / f"v{champion.version}-{champion.digest[:16]}"
    expected = champion.digest
    try:
        return place, verify(place, expected_digest=expected, public_key=public_key)
    except BundleRefused:
        shutil.rmtree(place, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder)) / "bundle"
    try:
        manifest = registry.fetch(
            name, champion.version, scratch, expected_digest=expected, public_key=public_key
        )
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch.parent, ignore_errors=True)
    return place, manifest
