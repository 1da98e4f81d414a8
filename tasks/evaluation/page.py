"""Pages that stand alone: nothing in them is loaded from elsewhere, and no password is shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

STYLE = Path(__file__).parent / "templates" / "report.css"
PIXELS_A_POINT = 1.3
CREDENTIALS = re.compile(r"(://[^\s:/@]*:)[^\s/@]+@")


def page(
    template: Path, filters: Mapping[str, Callable[..., Any]] | None = None, **context: Any
) -> str:
    """A template filled in, every text escaped and passwords inside URLs masked.

    Args:
        template: Its file; the style is handed to it as `css`.
        filters: That it uses beside Jinja's own.
        **context: Every name that it uses.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    css = Markup(STYLE.read_text("utf-8"))  # noqa: S704 (our own file)
    return CREDENTIALS.sub(
        r"\1***@", environment.get_template(template.name).render(css=css, **context)
    )


def image(title: str, alt: str, svg: str) -> dict[str, Any]:
    """A drawing as an image inside the page, so that its ids and styles stay its own."""
    found = re.search(r'width="([\d.]+)pt"', svg)
    return {
        "title": title,
        "alt": alt,
        "width": round(float(found[1]) * PIXELS_A_POINT) if found else 640,
        "source": "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode(),
    }
