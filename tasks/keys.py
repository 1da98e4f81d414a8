"""Which keys a configuration allows at a place, for messages about unknown ones."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def allowed(
    model: type[BaseModel], place: tuple[int | str, ...], free: Mapping[str, type[BaseModel]]
) -> list[str]:
    """The keys allowed where an unknown one stands.

    Args:
        model: Of the whole file.
        place: Keys and list positions down to the unknown key, which is the last.
        free: Key of an untyped mapping to the model whose keys it may hold.
    """
    here: Any = model
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        annotation = here.model_fields[part].annotation if part in here.model_fields else None
        here = _model_in(annotation)
        if here is None:
            return list(free[part].model_fields) if part in free else []
    return list(here.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)
