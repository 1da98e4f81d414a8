"""What does not fit a configuration, in words."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A pydantic error in words: each key, the value received and what would fit.

    Args:
        error: What pydantic said.
        model: What was validated; the keys that would fit are found by walking it.
    """
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "file"
        if item["type"] == "extra_forbidden":
            lines.append(
                f"{where}: " + unknown("key", str(item["loc"][-1]), _keys(item["loc"], model))
            )
        elif item["type"] == "missing":
            lines.append(f"{where}: is required and missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if isinstance(item["input"], Mapping) else f" (got {item['input']!r})"
            lines.append(f"{where}: {message}{got}")
    return "; ".join(lines)


def _keys(location: tuple[int | str, ...], root: type[BaseModel]) -> list[str]:
    """The keys allowed where an unknown one stands."""
    model: Any = root
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        model = _model_in(annotation)
        if model is None:  # a mapping, such as a candidate's overrides: the section it overrides
            section = root.model_fields[part].annotation if part in root.model_fields else None
            return list(getattr(section, "model_fields", ()))
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`unknown key 'epoch'; did you mean 'epochs'?`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"
