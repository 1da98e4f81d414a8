"""Whether a version can serve: its bundle is there, whole, signed, and the one it should be."""

from __future__ import annotations

import tempfile
from pathlib import Path

from model_registry.errors import BundleRefused, VersionUnfit
from model_registry.store import Registry


class Fitness:
    """Looks at bundles where MLflow keeps them.

    The first look at a bundle downloads and verifies all of it; a later one by the same object
    only asks whether its files are still there with their sizes.

    Args:
        registry: The only MLflow client.
        name: The registered model.
        public_key: Whose signature a bundle must carry.
    """

    def __init__(self, registry: Registry, name: str, public_key: Path) -> None:
        self.registry = registry
        self.name = name
        self.public_key = public_key
        self._sound: dict[tuple[str, str], dict[str, int]] = {}

    def __call__(self, version: str, digest: str) -> str | None:
        """Why a version cannot serve as the bundle with this digest; None where it can.

        Raises:
            RegistryUnreachable: it cannot be looked at now.
        """
        try:
            sizes = self._sizes(version, digest)
            if self._sound.get((version, digest)) != sizes:
                self._read(version)
        except (BundleRefused, VersionUnfit) as error:
            return str(error)
        self._sound[version, digest] = sizes
        return None

    def _sizes(self, version: str, digest: str) -> dict[str, int]:
        found = self.registry.version(self.name, version)
        if found.digest != digest:
            raise VersionUnfit(
                f"digest mismatch: v{version} is registered with {found.digest}, the decision is "
                f"about {digest}"
            )
        return self.registry.check_present(found)

    def _read(self, version: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "bundle"
            self.registry.fetch(self.name, version, place, public_key=self.public_key)
