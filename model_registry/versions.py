"""One version of a registered model, and the words for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRODUCTION, STAGING, ARCHIVED = "Production", "Staging", "Archived"
CHAMPION, CHALLENGER = "champion", "challenger"
PRUNED = "pruned"  # tag: why the files of a version are gone, or going
FILES_GONE = "files_gone"  # tag, "yes": all of them are


@dataclass(frozen=True)
class Version:
    """One version of a registered model, as MLflow tells it now.

    Attributes:
        name: The registered model: the pipeline's name.
        version: Its number, always as text.
        stage: None, Staging, Production or Archived.
        aliases: Aliases that point at it.
        run_id: The run it was registered from.
        source: Where MLflow keeps it.
        created: Milliseconds since 1970.
        tags: `digest` and whatever the night and the stage moves wrote.
    """

    name: str
    version: str
    stage: str
    aliases: tuple[str, ...]
    run_id: str
    source: str
    created: int
    tags: Mapping[str, str]

    @property
    def digest(self) -> str | None:
        """sha256 of the bundle's manifest; None for a version that Nocturne did not make."""
        return self.tags.get("digest")

    @property
    def pruned(self) -> str | None:
        """When and why retention let its files go; None where they are to be there."""
        return self.tags.get(PRUNED)


def version_of(row: Any, aliases: Mapping[str, str]) -> Version:
    """From MLflow's row and the model's aliases, which the row never tells."""
    number = str(row.version)
    return Version(
        row.name,
        number,
        row.current_stage,
        tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        row.run_id or "",
        row.source or "",
        int(row.creation_timestamp or 0),
        dict(row.tags),
    )
