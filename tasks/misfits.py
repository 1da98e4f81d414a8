"""What does not fit a configuration, in words."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "path": "a path",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
}  # by pydantic's type of error, or by its first word


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """A pydantic error in words: each key, the rule, the value received and what to do.

    Args:
        error: What pydantic said.
        model: What was validated; the keys that would fit are found by walking it.
        prefix: Of the environment's variables, where they were validated.
    """
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "file"
        if prefix and not where.startswith(prefix):
            where = prefix + where.upper()
        if item["type"] == "extra_forbidden":
            said = unknown("key", str(item["loc"][-1]), _keys(item["loc"], model))
        elif item["type"] == "missing":
            said = "is required and missing; add it"
        else:
            said = _misfit(item, model)
        lines.append(f"{where}: {said}")
    return "; ".join(lines)


def _misfit(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """What was expected of a value, and what it is."""
    kind, value = item["type"], item["input"]
    got = "a mapping of keys" if isinstance(value, Mapping) else f"{value!r:.60}"
    rule = EXPECTED.get(kind) or EXPECTED.get(kind.partition("_")[0])
    if rule is None:
        message = item["msg"].removeprefix("Value error, ")
        return message if isinstance(value, Mapping) else f"{message} (got {got})"
    rule = rule.format(**item.get("ctx", {}))
    default = _default(item["loc"], model)
    leave = "" if default is None else f", or leave it out for {json.dumps(default)}"
    return f"expected {rule}, got {got}; change it{leave}"


def _default(location: tuple[int | str, ...], root: type[BaseModel]) -> Any:
    """What holds where the key is left out; None where nothing plain does."""
    model: Any = root
    for part in location[:-1]:
        fields = getattr(model, "model_fields", {})
        model = _model_in(fields[part].annotation) if part in fields else None
    field = getattr(model, "model_fields", {}).get(location[-1])
    return field.default if field and isinstance(field.default, bool | int | float | str) else None


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
