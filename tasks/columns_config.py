"""The `columns` part of a pipeline file: which column of the source plays which part."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.frozen import Frozen


class Columns(Frozen):
    """Which column of the source plays which part."""

    label: str = Field(description="Column with the class name.")
    text: str | None = Field(None, description="Column with the text (text pipelines).")
    sequence: tuple[str, ...] = Field(
        (), description="Columns with the channels of a numeric series: lists, or one step a row."
    )
    step: str | None = Field(None, description="Order of the steps; set when one row is one step.")
    wide: tuple[str, ...] = Field(
        (),
        description="Columns that are the steps, in order, of the one channel that `sequence` "
        "names; set when one row is one series.",
    )
    id: str | None = Field(None, description="Stable id of a row; a content hash where absent.")
    time: str | None = Field(None, description="When the row came to be.")
    group: str | None = Field(None, description="Rows of one group never straddle a split.")
    split: str | None = Field(None, description="Official split: train, val or test.")

    @model_validator(mode="after")
    def _one_input(self) -> Columns:
        if (self.text is None) == (not self.sequence):
            raise ValueError("name exactly one input: `text: COLUMN` or `sequence: [COLUMNS]`")
        if self.label in (*self.sequence, *self.wide, self.text):
            raise ValueError(
                f"`label` and the input are one column, {self.label!r}: a model would be told what "
                "it is asked; name two"
            )
        if self.step and not self.id:
            raise ValueError("`step` needs `id`: it says which steps form one series")
        if self.wide and (self.step or len(self.sequence) != 1):
            raise ValueError(
                "`wide` holds the steps of one channel: name that one in `sequence`, and no `step`"
            )
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the source that hold the input."""
        return self.wide or ((self.text,) if self.text else self.sequence)
