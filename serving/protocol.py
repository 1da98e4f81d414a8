"""MLflow's scoring protocol: a request's body to rows, answers to a response's body.

A body is a JSON object with exactly one of `dataframe_split`, `dataframe_records`, `instances`
and `inputs`. A row is a text, or a series as a list of steps, each a list of channels. Whatever
does not fit is refused with the field and the row it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from serving.limits import DEPTH, LENGTH, ROWS, Refusal

LARGEST = 3.4e38  # of a float32
SHOWN = 60

Row = Any  # str, or list[list[float | None]]


@dataclass(frozen=True)
class Shape:
    """What a row must hold.

    Attributes:
        kind: `text` or `numeric`.
        columns: The pipeline's own names of the input columns.
        channels: Of one step (numeric only).
    """

    kind: str
    columns: tuple[str, ...]
    channels: int = 1


def rows_of(body: bytes, shape: Shape) -> list[Row]:
    """The rows of a request.

    Raises:
        Refusal: 400 where the body is not the protocol, 422 where a row is no input.
    """
    content = decoded(body)
    found = [name for name in FORMS if name in content]
    if len(found) != 1:
        got = ", ".join(map(str, content)) or "none"
        raise Refusal(
            400,
            f"body: needs exactly one of {', '.join(FORMS)}, got {_shown(got)}",
            field="body",
        )
    form = found[0]
    return checked(FORMS[form](content[form], form, shape), form, shape)


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object of bounded depth."""
    try:
        content = orjson.loads(body)
    except ValueError as error:
        raise Refusal(400, f"body: is no JSON: {error}", field="body") from None
    if not isinstance(content, dict):
        raise Refusal(
            400, f"body: must be a JSON object, got {type(content).__name__}", field="body"
        )
    _refuse_deep(content)
    return content


def checked(cells: list[tuple[Any, ...]], form: str, shape: Shape) -> list[Row]:
    """Rows from their cells, one a column; every value is what the model takes."""
    if not cells:
        raise Refusal(422, f"{form}: has no row; send at least one", field=form)
    if len(cells) > ROWS:
        raise Refusal(413, f"{form}: {len(cells)} rows, at most {ROWS} a request", field=form)
    if shape.kind == "text":
        return [_text(row[0], number, shape) for number, row in enumerate(cells)]
    return [_series(row, number, shape) for number, row in enumerate(cells)]


def _split(content: Any, form: str, shape: Shape) -> list[tuple[Any, ...]]:
    if not isinstance(content, dict):
        raise Refusal(400, f"{form}: must be an object with columns and data", field=form)
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        raise Refusal(400, f"{form}: needs the lists columns and data", field=form)
    missing = [name for name in shape.columns if name not in columns]
    if missing:
        raise _missing(f"{form}.columns", missing[0], shape, columns)
    at = [columns.index(name) for name in shape.columns]
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise Refusal(
                422,
                f"{form}.data row {number}: must be a list of {len(columns)} values",
                field=f"{form}.data",
                row=number,
            )
    return [tuple(row[index] for index in at) for row in data]


def _records(content: Any, form: str, shape: Shape) -> list[tuple[Any, ...]]:
    if not isinstance(content, list):
        raise Refusal(400, f"{form}: must be a list of objects, one a row", field=form)
    cells = []
    for number, row in enumerate(content):
        if not isinstance(row, dict):
            raise Refusal(
                422, f"{form} row {number}: must be an object of columns", field=form, row=number
            )
        for name in shape.columns:
            if name not in row:
                raise _missing(form, name, shape, row, number)
        cells.append(tuple(row[name] for name in shape.columns))
    return cells


def _instances(content: Any, form: str, shape: Shape) -> list[tuple[Any, ...]]:
    if isinstance(content, dict):
        return _inputs(content, form, shape)
    if not isinstance(content, list):
        raise Refusal(400, f"{form}: must be a list of rows", field=form)
    if len(shape.columns) == 1 and not any(isinstance(row, dict) for row in content):
        return [(row,) for row in content]
    return _records(content, form, shape)


def _inputs(content: Any, form: str, shape: Shape) -> list[tuple[Any, ...]]:
    if isinstance(content, list):
        return _instances(content, form, shape)
    if isinstance(content, str) and shape.kind == "text":
        return [(content,)]
    if not isinstance(content, dict):
        raise Refusal(400, f"{form}: must be an object of columns or a list", field=form)
    columns = []
    for name in shape.columns:
        if name not in content:
            raise _missing(form, name, shape, content)
        values = content[name]
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list):
            raise Refusal(
                422, f"{form}.{name}: must be a list, one entry a row", field=f"{form}.{name}"
            )
        columns.append(values)
    if len({len(values) for values in columns}) > 1:
        sizes = ", ".join(f"{n} {len(v)}" for n, v in zip(shape.columns, columns, strict=True))
        raise Refusal(422, f"{form}: columns differ in rows: {sizes}", field=form)
    return list(zip(*columns, strict=True))


FORMS: dict[str, Callable[[Any, str, Shape], list[tuple[Any, ...]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _missing(
    where: str, name: str, shape: Shape, got: Iterable[Any], row: int | None = None
) -> Refusal:
    told = where if row is None else f"{where} row {row}"
    shown = _shown(", ".join(map(str, got)) or "none")
    message = f"{told}: column {name!r} is missing; needs {', '.join(shape.columns)}, got {shown}"
    return Refusal(422, message, field=name, row=row)


def _text(value: Any, row: int, shape: Shape) -> str:
    name = shape.columns[0]
    if not isinstance(value, str):
        raise _bad(name, row, f"must be a text, got {_shown(value)}")
    words = len(value.split(None, LENGTH + 1))
    if not words:
        raise _bad(name, row, "text is empty")
    if words > LENGTH:
        raise _bad(name, row, f"has over {LENGTH} words; send a shorter text")
    return value


def _series(cells: Sequence[Any], row: int, shape: Shape) -> list[list[float | None]]:
    for name, cell in zip(shape.columns, cells, strict=True):
        if not isinstance(cell, list) or not cell:
            raise _bad(name, row, f"must be a list of steps, got {_shown(cell)}")
        if len(cell) > LENGTH:
            raise _bad(name, row, f"has {len(cell)} steps, at most {LENGTH}")
    if len({len(cell) for cell in cells}) > 1:
        sizes = ", ".join(f"{n} {len(c)}" for n, c in zip(shape.columns, cells, strict=True))
        raise _bad(shape.columns[0], row, f"columns differ in steps: {sizes}")
    if len(shape.columns) > 1:
        steps: list[Any] = [list(step) for step in zip(*cells, strict=True)]
    else:
        steps = [step if isinstance(step, list) else [step] for step in cells[0]]
    _refuse_numbers(steps, row, shape)
    return steps


def _refuse_numbers(steps: list[list[Any]], row: int, shape: Shape) -> None:
    several = len(shape.columns) > 1
    present = False
    for at, step in enumerate(steps):
        if len(step) != shape.channels:
            got = f"step {at} has {len(step)} channels, must have {shape.channels}"
            raise _bad(shape.columns[0], row, got)
        for channel, value in enumerate(step):
            if value is None:
                continue
            if type(value) not in (int, float) or not abs(value) <= LARGEST:
                name = shape.columns[channel if several else 0]
                raise _bad(name, row, f"step {at}: must be a finite number, got {_shown(value)}")
            present = True
    if not present:
        raise _bad(shape.columns[0], row, "has no value, only missing ones")


def _bad(name: str, row: int, what: str) -> Refusal:
    return Refusal(422, f"row {row}, {name}: {what}", field=name, row=row)


def _refuse_deep(content: Any) -> None:
    level = [content]
    for _ in range(DEPTH):
        level = [
            child
            for value in level
            for child in (value.values() if type(value) is dict else value)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise Refusal(400, f"body: nested deeper than {DEPTH} levels", field="body")


def _shown(value: Any) -> str:
    """A value cut short, in ASCII, so that no message grows with its request."""
    return ascii(value if not isinstance(value, (list, dict)) else type(value).__name__)[:SHOWN]
