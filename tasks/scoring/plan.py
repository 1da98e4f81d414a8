"""From what a person or a schedule asks for to a source, a target and the job's place."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config import Choice, ConfigError, Pipeline
from tasks.scoring.listing import FORMATS, format_of
from tasks.scoring.sources import Source, source_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Plan:
    """A batch, settled.

    Attributes:
        source: Where the rows come from.
        target: One file, or the place of the parts.
        single: Whether it is one file.
        day: The logical date.
        configured: Whether it is the batch of the pipeline file, which monitoring sees.
    """

    source: Source
    target: str
    single: bool
    day: date
    configured: bool

    @property
    def job_folder(self) -> Path:
        """Where the parts of a single file wait for each other."""
        path = Path(self.target)
        return path.with_name(f".{path.name}.job")

    @property
    def place(self) -> str:
        """The target as other processes know it: a path is one of this machine."""
        if "://" in self.target:
            return self.target
        return f"{socket.gethostname()}:{Path(self.target).resolve()}"

    @property
    def name(self) -> str:
        """Short and the same for the same target."""
        return hashlib.sha256(self.target.encode()).hexdigest()[:16]


def planned(
    pipeline: Pipeline, source: str | Choice | None, target: str | None, day: date | None
) -> Plan:
    """Settle what to read and where to write.

    Raises:
        ConfigError: input or output is named neither here nor in the pipeline file, an ending
            that is no format, or an output inside its own input.
        DataError: nothing to read.
    """
    from tasks.datasets.canonical import end_of

    day = day or datetime.now(UTC).date()
    configured = source is None and target is None
    given = source if source is not None else pipeline.scoring.input
    out = target if target is not None else pipeline.scoring.output
    if given is None or out is None:
        raise ConfigError(
            f"pipeline {pipeline.name!r}: batch scoring needs an input and an output; name them "
            "in the call, or both under `scoring` in the pipeline file"
        )
    given, out = _dated(given, day), _dated(out, day)
    _refuse_circle(given, out)
    single = _is_file(out)
    return Plan(source_of(pipeline, given, end_of(day)), out, single, day, configured)


def _dated(value: Any, day: date) -> Any:
    """`{date}` filled in, also inside a reader's options."""
    if isinstance(value, Choice):
        return Choice(name=value.name, options=_dated(value.options, day))
    if isinstance(value, dict):
        return {name: _dated(each, day) for name, each in value.items()}
    return value.replace("{date}", day.isoformat()) if isinstance(value, str) else value


def _is_file(target: str) -> bool:
    """Whether a target is one file; raises `ConfigError` on an ending that is no format."""
    if target.startswith("s3://"):
        if Path(target).suffix in FORMATS:
            raise ConfigError(f"{target}: on S3 the output is a prefix for parts; drop the ending")
        return False
    path = Path(target)
    if target.endswith("/") or path.is_dir() or not path.suffix:
        return False
    return bool(format_of(target))


def _refuse_circle(given: Any, target: str) -> None:
    path = given.options.get("path") if isinstance(given, Choice) else given
    if not isinstance(path, str):
        return
    if "://" in path or "://" in target:
        inside = f"{target.rstrip('/')}/".startswith(f"{path.rstrip('/')}/")
    else:
        inside = Path(target).resolve().is_relative_to(Path(path).resolve())
    if inside:
        raise ConfigError(f"output {target}: lies in its own input {path}; choose another place")


def no_rows(pipeline: Pipeline) -> pd.DataFrame:
    """The canonical columns that scoring reads, without a row."""
    import pandas as pd
    import pyarrow as pa

    from tasks.datasets.series import SERIES_TYPE, as_series

    ids = pd.Series([], dtype="str")
    if pipeline.columns.text:
        return pd.DataFrame({"row_id": ids, "text": pd.Series([], dtype="str")})
    return pd.DataFrame({"row_id": ids, "series": as_series(pa.array([], SERIES_TYPE))})
