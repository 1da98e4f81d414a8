"""What every part of a pipeline's configuration is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Frozen(BaseModel):
    """Base of all configuration: immutable, every unknown key refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(Frozen):
    """One entry of a table (`READERS`, `ARCHITECTURES`, ...) and the options it is called with."""

    name: str = Field(description="Name of the entry in its table.")
    options: dict[str, Any] = Field(default_factory=dict, description="Keyword options of it.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
