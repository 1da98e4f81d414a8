"""The `scoring` part of a pipeline file: Production over a batch, by itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.frozen import Choice, Frozen, Share


class Scoring(Frozen):
    """What batch scoring reads and writes, and when it runs by itself."""

    input: str | Choice | None = Field(
        None,
        description="File, folder, s3://bucket/prefix, SELECT over the source's database, or a "
        "reader with its options; {date} is the logical date.",
    )
    output: str | None = Field(
        None,
        description="File, folder or s3://bucket/prefix of the predictions; {date} as above.",
    )
    cron: str | None = Field(None, description="When it runs by itself; needs input and output.")
    timezone: str = Field("UTC", description="IANA name for the cron.")
    format: Literal["parquet", "csv", "jsonl"] = Field(
        "parquet", description="Of the parts in a folder; a file goes by its ending."
    )
    part_rows: int = Field(100_000, ge=1, description="Rows of one part, about.")
    max_rejected: Share = Field(
        0.05, description="Share of rows without answer above which a batch is refused."
    )
    sample: int = Field(
        2_000, ge=0, description="Rows of each batch that monitoring gets to see; 0: none."
    )

    @model_validator(mode="after")
    def _complete(self) -> Scoring:
        if (self.input is None) != (self.output is None):
            raise ValueError("name both `input` and `output`, or neither")
        if self.cron and self.input is None:
            raise ValueError("`cron` needs `input` and `output`: what to score, and where to")
        return self
