"""A configuration as YAML in which every value is explained by the description of its field."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from tasks.config import Choice

WIDTH = 100
MANY = 30  # entries of a list that are no longer read one by one


def annotated_yaml(model: BaseModel, notes: Mapping[str, str]) -> str:
    """The model as YAML text that loads to an equal model.

    Args:
        model: What to write; every field is written, those that equal their default too.
        notes: Dotted path ("split.test", "candidates.0.name") to a sentence put behind the
            field's description: why this value.
    """
    return "\n".join(_fields(model, notes, "", "")) + "\n"


def _fields(model: BaseModel, notes: Mapping[str, str], path: str, indent: str) -> Iterator[str]:
    after_section = False
    for name, field in type(model).model_fields.items():
        value, where = getattr(model, name), f"{path}{name}"
        said = " ".join(part for part in (field.description, notes.get(where)) if part)
        nested = isinstance(value, BaseModel) and not isinstance(value, Choice)
        section = nested or _is_list_of_models(value)
        if not indent and (section or after_section):
            yield ""
        after_section = section
        if section:
            yield from comment(said, indent)
            yield f"{indent}{name}:"
            inner = _fields if nested else _items
            yield from inner(value, notes, f"{where}.", f"{indent}  ")
        else:
            yield from _value(name, value, said, indent)


def _value(name: str, value: Any, said: str, indent: str) -> Iterator[str]:
    """On one line; a list that is too long for it, one entry a line, or many in lines."""
    line = f"{indent}{name}: {_flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, tuple):
        yield from _line(line, said, indent)
        return
    yield from _line(f"{indent}{name}:", said, indent)
    if len(value) > MANY:
        yield from _wrapped([_flow([item])[1:-1] for item in value], f"{indent}  ")
        return
    yield from (f"{indent}  - {_flow(item)}" for item in value)


def _wrapped(items: list[str], indent: str) -> Iterator[str]:
    """A list in brackets over as many lines as it takes."""
    line = f"{indent}[{items[0]}"
    for item in items[1:]:
        if len(line) + len(item) + 3 > WIDTH:
            yield f"{line},"
            line = f"{indent}{item}"
        else:
            line += f", {item}"
    yield f"{line}]"


def _items(
    models: tuple[BaseModel, ...], notes: Mapping[str, str], path: str, indent: str
) -> Iterator[str]:
    for at, model in enumerate(models):
        lines = list(_fields(model, notes, f"{path}{at}.", f"{indent}  "))
        first = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("#"))
        lines[first] = f"{indent}- {lines[first].lstrip()}"
        yield from lines


def _is_list_of_models(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(item, BaseModel) and not isinstance(item, Choice) for item in value)
    )


def _line(line: str, said: str, indent: str) -> Iterator[str]:
    if said and len(line) + len(said) + 4 <= WIDTH:
        yield f"{line}  {''.join(comment(said))}"
    else:
        yield from comment(said, indent)
        yield line


def comment(said: str, indent: str = "") -> Iterator[str]:
    """A sentence as comment lines; what is not printable, such as a line break, is a space."""
    printable = "".join(letter if letter.isprintable() else " " for letter in said)
    for part in textwrap.wrap(printable, WIDTH - len(indent) - 2):
        yield f"{indent}# {part}"


def _flow(value: Any) -> str:
    text = yaml.dump(
        _plain(value), Dumper=_OneLine, default_flow_style=True, allow_unicode=True,
        width=10**9, sort_keys=False,
    )  # fmt: skip
    return str(text).removesuffix("\n").removesuffix("\n...")


class _OneLine(yaml.SafeDumper):
    """Text with line breaks in double quotes, which keeps it on one line."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_OneLine.add_representer(str, _text)


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return (
            {"name": value.name, "options": _plain(value.options)} if value.options else value.name
        )
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
