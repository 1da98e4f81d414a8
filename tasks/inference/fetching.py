"""A version's bundle at hand: downloaded once, verified every time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from model_registry.bundle import Manifest, verify
from model_registry.errors import BundleRefused
from model_registry.store import Registry
from model_registry.versions import Version


def fetched(
    registry: Registry, version: Version, folder: Path, public_key: Path
) -> tuple[Path, Manifest]:
    """A version's verified bundle in a private directory, downloaded only once.

    Raises:
        BundleRefused: what the registry holds is not what was registered.
        RegistryError: the version has no files, or MLflow does not answer.
    """
    place = folder / f"v{version.version}-{(version.digest or 'unknown')[:16]}"
    try:
        return place, verify(place, expected_digest=version.digest, public_key=public_key)
    except BundleRefused:
        shutil.rmtree(place, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder)) / "bundle"
    try:
        manifest = registry.fetch(version.name, version.version, scratch, public_key=public_key)
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch.parent, ignore_errors=True)
    return place, manifest
