"""What a challenger's shadow found beside the champion, in the store: written live, read by gates.

One JSON object a version, `shadow/PIPELINE/VERSION.json`: `rows`, `agreement` (share of equal
labels), `total_variation` (mean distance of the answers), `score_shift` (mean difference of each
class's probability), `failed` (rows it left without a finite answer), `milliseconds_a_row` and the
champion's on the same batches, `error` where the server could not load it, and which `champion` it
was compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.storage import NotFound, Storage
from model_registry.evidence import Shadowed
from model_registry.state import Champion


def key(pipeline: str, version: str) -> str:
    """Where the findings about a version stand."""
    return f"shadow/{pipeline}/{version}.json"


def write(storage: Storage, pipeline: str, found: Mapping[str, Any]) -> None:
    """Keep the findings about the version that `found` names; later ones take their place."""
    data = json.dumps(found, indent=1, allow_nan=False).encode()
    storage.put(key(pipeline, found["version"]), data)


def read(storage: Storage, pipeline: str, version: str) -> dict[str, Any] | None:
    """The findings about a version; None where it was never shadowed."""
    try:
        found: dict[str, Any] = json.loads(storage.get(key(pipeline, version)))
    except NotFound:
        return None
    return found


def beside(
    storage: Storage, pipeline: str, version: str, champion: Champion | None
) -> Shadowed | None:
    """The findings as gates judge them; None where there are none beside this champion."""
    found = read(storage, pipeline, version)
    if found is None or champion is None or found["champion"]["digest"] != champion.digest:
        return None
    theirs = found.get("champion_milliseconds_a_row", {})
    return Shadowed(
        rows=found["rows"],
        failed=found.get("failed", 0),
        agreement=found["agreement"],
        total_variation=found["total_variation"],
        milliseconds=found["milliseconds_a_row"]["p50"],
        champion_milliseconds=theirs.get("p50", 0.0),
        error=found.get("error", ""),
    )
