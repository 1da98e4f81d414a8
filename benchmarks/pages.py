"""Pages whose tables a benchmark writes, each between two marks of its name."""

from __future__ import annotations

import re
from pathlib import Path


def fill(page: Path, name: str, table: str) -> None:
    """Put a table between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: a page without these marks.
    """
    text, places = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda marks: f"{marks[1]}\n{table}\n\n{marks[2]}",
        page.read_text("utf-8"),
        flags=re.DOTALL,
    )
    if not places:
        raise ValueError(f"{page}: has no place for table {name!r}; add <!-- {name} --> marks")
    page.write_text(text, "utf-8")
