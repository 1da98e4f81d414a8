"""`nocturne init`: from somebody's file to a pipeline that runs, and what was seen on the way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expectations.words import percent
from flows.console import grid, out
from tasks.config import ConfigError
from tasks.datasets.drafting import Draft, Options, initialise

FOLDER = Path("conf")


@dataclass(frozen=True)
class Begun:
    """A draft that has been written.

    Attributes:
        draft: What was drafted.
        pipeline: Path of the pipeline file.
        suite: Path of the suite beside it.
    """

    draft: Draft
    pipeline: Path
    suite: Path

    def facts(self) -> dict[str, Any]:
        """Plain values for scripts."""
        return {
            "pipeline": str(self.pipeline),
            "suite": str(self.suite),
            "seen": asdict(self.draft.profile),
            "looked_at": self.draft.looked_at,
            "guesses": [asdict(guess) for guess in self.draft.guesses],
        }

    def show(self) -> None:
        """What was seen and guessed, where it was written, and what to do next."""
        seen = self.draft.profile
        rows = [(name, f"{count:,}", percent(share)) for name, count, share in seen.classes]
        grid(f"{self.draft.name}: {seen.rows:,} rows", ("class", "rows", "share"), rows)
        lengths = ", ".join(f"{name} {value:,}" for name, value in seen.lengths.items())
        nulls = ", ".join(f"{name} {count:,}" for name, count in seen.nulls.items()) or "none"
        out.print(f"length in {seen.unit}: {lengths}; nulls: {nulls}", highlight=False)
        about = "about " if seen.estimated else ""
        counts = f"{about}{seen.duplicates:,}; conflicting labels: {about}{seen.conflicts:,}"
        out.print(f"duplicates: {counts}", highlight=False)
        if seen.estimated:
            few = f"{self.draft.looked_at:,} rows, a sample; the others are counted"
            out.print(f"looked at closely, for lengths and duplicates: {few}", highlight=False)
        for guess in self.draft.guesses:
            word = "guessed" if guess.used else "seen"
            out.print(f"{word} {guess.part}: {guess.column} ({guess.reason})", markup=False)
        out.print(f"wrote {self.pipeline} and {self.suite}; review both, then:", markup=False)
        out.print(f"  nocturne retrain {self.pipeline}", markup=False)


def begin(options: Options, *, force: bool) -> Begun:
    """Draft a pipeline and write it with its suite into `conf/`.

    Raises:
        ConfigError: data or columns that do not fit, or files that exist already.
    """
    draft = initialise(options)
    pipeline, suite = FOLDER / f"{draft.name}.yaml", FOLDER / draft.suite_name
    there = [str(path) for path in (pipeline, suite) if path.exists()]
    if there and not force:
        raise ConfigError(
            f"{' and '.join(there)} exist already; use --force to write anew, or --name for another"
        )
    FOLDER.mkdir(exist_ok=True)
    pipeline.write_text(draft.yaml_text, "utf-8")
    suite.write_text(json.dumps(draft.suite, indent=2) + "\n", "utf-8")
    return Begun(draft, pipeline, suite)
