"""MLflow's page as the mirror of the ledger: what it shows, and the steps to what it should.

MLflow has no compare-and-set, so it decides nothing: it is brought to what the ledger wants,
one idempotent step at a time, tags first and the alias last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.versions import ARCHIVED, CHALLENGER, CHAMPION, PRODUCTION, STAGING

if TYPE_CHECKING:
    from model_registry.store import Registry
    from model_registry.versions import Version


@dataclass(frozen=True)
class Standing:
    """What the mirror shows.

    Attributes:
        production: Versions in stage Production.
        alias: The version that the alias `champion` names.
        digests: Version to the digest of its bundle, of those above.
    """

    production: frozenset[str] = frozenset()
    alias: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"v{version}" for version in sorted(self.production)) or "no version"
        alias = f"v{self.alias}" if self.alias else "no version"
        return f"MLflow says {shown} in Production, alias {CHAMPION} at {alias}"

    def shows(self, version: str | None) -> bool:
        """Whether exactly this version, or none, is in Production and has the alias."""
        return self.production == ({version} - {None}) and self.alias == version

    def strangers(self, version: str | None) -> set[str]:
        """Versions shown as the champion that are not this one."""
        return {*self.production, *([self.alias] if self.alias else [])} - {version}


class Mirror(Protocol):
    """What follows the ledger. Every call may be repeated.

    All raise RegistryUnreachable where there is no answer.
    """

    def standing(self) -> Standing:
        """What it shows now."""

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Write tags of a version."""

    def set_stage(self, version: str, stage: str) -> None:
        """Move a version; Production may archive who was there in the same step."""

    def set_alias(self, version: str | None) -> None:
        """Point the alias `champion` at a version, or at none."""


@dataclass(frozen=True)
class Step:
    """One write to a mirror: tags where there are any, else a stage, else the alias."""

    version: str | None
    stage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def apply(self, mirror: Mirror) -> None:
        """Do it."""
        if self.version is not None and self.tags:
            mirror.tag(self.version, self.tags)
        elif self.version is not None and self.stage:
            mirror.set_stage(self.version, self.stage)
        else:
            mirror.set_alias(self.version)


def steps(standing: Standing, wanted: str | None, tags: Mapping[str, str]) -> Iterator[Step]:
    """From what is shown to what is wanted; none where it is shown already."""
    if standing.shows(wanted):
        return
    if wanted is not None:
        yield Step(wanted, tags=tags)
        if wanted not in standing.production:
            yield Step(wanted, stage=PRODUCTION)
    for version in sorted(standing.production - {wanted}):
        yield Step(version, stage=ARCHIVED)
    if standing.alias != wanted:
        yield Step(wanted)


class MlflowMirror:
    """One registered model in MLflow.

    Args:
        registry: The only MLflow client.
        name: The registered model.
    """

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name

    def standing(self) -> Standing:
        """What MLflow shows now."""
        versions = self.registry.versions(self.name)
        alias = next((v.version for v in versions if CHAMPION in v.aliases), None)
        production = frozenset(v.version for v in versions if v.stage == PRODUCTION)
        digests = {
            v.version: v.digest for v in versions if v.digest and v.version in {*production, alias}
        }
        return Standing(production, alias, digests)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Write tags of a version."""
        self.registry.set_tags(self.name, version, tags)

    def set_stage(self, version: str, stage: str) -> None:
        """Move a version; whoever leaves Staging is challenger no more."""
        self.registry.set_stage(self.name, version, stage)
        aliases = self.registry.aliases(self.name)
        if stage != STAGING and aliases.get(CHALLENGER) == version:
            self.registry.set_alias(self.name, CHALLENGER, None)

    def challenge(self, version: str, *, waiting: frozenset[str] = frozenset()) -> Version:
        """Show a version as the challenger in Staging, whatever was done of it before.

        Args:
            version: One that is in Production stays there.
            waiting: Versions that wait for a person's word: they stay in Staging.
        """
        known = {found.version: found for found in self.registry.versions(self.name)}
        if known[version].stage == PRODUCTION:
            return known[version]
        for other in known.values():
            if other.stage == STAGING and other.version not in {version, *waiting}:
                self.registry.set_stage(self.name, other.version, ARCHIVED)
        self.registry.set_stage(self.name, version, STAGING)
        self.registry.set_alias(self.name, CHALLENGER, version)
        return self.registry.version(self.name, version)

    def set_alias(self, version: str | None) -> None:
        """Point the alias `champion`; where two set it at once MLflow may refuse one of them."""
        try:
            self.registry.set_alias(self.name, CHAMPION, version)
        except RegistryUnreachable:
            raise
        except RegistryError:
            self.registry.set_alias(self.name, CHAMPION, version)
