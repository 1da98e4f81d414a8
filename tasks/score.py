"""Stage: Production over a batch of rows; every row is answered or rejected with a reason."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task

from infra.settings import Settings
from model_registry import signing
from model_registry.errors import RegistryError
from model_registry.state import Champion
from model_registry.store import Registry
from tasks import progress
from tasks.config import Choice, ConfigError, Pipeline
from tasks.inference.fetching import fetched
from tasks.promotions import open_promotions, reconciled
from tasks.references import Predictions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tasks.inference.classifier import SequenceClassifier

logger = logging.getLogger(__name__)

CHUNK_ROWS = 10_000
FORMATS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}

Writer = Callable[["pd.DataFrame"], None]


@task
def score_batch(pipeline: Pipeline, source: str, target: str) -> Predictions:
    """Let Production answer the rows of a file.

    Args:
        pipeline: Says which column is the input and which the id.
        source: CSV, Parquet or JSON Lines, by its ending.
        target: Predictions to write, a format likewise: the id, `label`, each class's
            `probability_CLASS` and the model's `version`. Rejected rows go beside it, to
            `TARGET.rejects.csv`, with their reasons. Both appear whole or not at all.

    Raises:
        RegistryError: nothing is in Production, its files are missing, or MLflow is away.
        BundleRefused: its files are not what was registered.
        DataError: the file does not hold what the pipeline names.
    """
    from tasks.inference.classifier import SequenceClassifier

    _format(Path(target))
    settings = Settings()
    registry = Registry(settings.mlflow_uri)
    champion = _champion(pipeline)
    rows = read_batch(pipeline, Path(source))
    public_key = signing.public_key_of(settings.signing_key)
    folder = settings.work / pipeline.name / "champion"
    place, manifest = fetched(registry, pipeline.name, champion, folder, public_key)
    classifier = SequenceClassifier.load(
        place, expected_digest=manifest.digest, public_key=public_key
    )
    rows = rows.rename(columns={"row_id": pipeline.columns.id or "row_id"})
    scored, rejects = answer(classifier, champion.version, rows, Path(target))
    logger.info("%s: v%s scored %d of %d rows", source, champion.version, scored, len(rows))
    return Predictions(
        model=pipeline.name,
        version=champion.version,
        digest=manifest.digest,
        rows=len(rows),
        scored=scored,
        rejected=len(rows) - scored,
        output=target,
        rejects=str(rejects) if rejects else None,
    )


def _champion(pipeline: Pipeline) -> Champion:
    champion = reconciled(open_promotions(pipeline), "score").champion
    if champion is None:
        raise RegistryError(
            f"model {pipeline.name!r}: nothing is in Production to score with; run "
            "`nocturne retrain` first, or promote a version"
        )
    return champion


def read_batch(pipeline: Pipeline, source: Path) -> pd.DataFrame:
    """The file's rows as a canonical frame; labels and other columns need not be there.

    Raises:
        ConfigError: an ending that is none of `FORMATS`.
        DataError: the file does not hold what the pipeline names.
    """
    from tasks.datasets.canonical import canonical, table_of

    options = {**_options(pipeline, _format(source)), "path": str(source)}
    table = table_of(Choice(name=_format(source), options=options), None)
    return canonical(table, pipeline, need_labels=False)


def answer(
    classifier: SequenceClassifier, version: str, rows: pd.DataFrame, target: Path
) -> tuple[int, Path | None]:
    """Write answers and rejects, a chunk at a time.

    Args:
        classifier: Answers canonical rows.
        version: Written beside each answer.
        rows: Canonical rows; the first column says which row is which.
        target: Where the predictions go.

    Returns:
        Rows scored, and the path of the rejects where there are any.
    """
    rejects = target.with_name(f"{target.name}.rejects.csv")
    scored = 0
    with ExitStack() as files:
        write = files.enter_context(writing(target))
        reject = files.enter_context(writing(rejects))
        for start in range(0, max(len(rows), 1), CHUNK_ROWS):
            chunk = rows.iloc[start : start + CHUNK_ROWS]
            reasons = reasons_against(chunk)
            good = chunk[reasons.isna()]
            found = classifier.predict(good).assign(version=version)
            found.insert(0, rows.columns[0], good.iloc[:, 0])
            write(found)
            bad = chunk[reasons.notna()]
            reject(bad.iloc[:, :1].assign(reason=reasons[reasons.notna()]))
            scored += len(good)
            progress.report("score", min(start + CHUNK_ROWS, len(rows)), len(rows))
    if scored < len(rows):
        return scored, rejects
    rejects.unlink()
    return scored, None


def reasons_against(rows: pd.DataFrame) -> pd.Series:
    """Why a row cannot be answered, `(rows,)` of str; missing where it can."""
    import pandas as pd

    against = _against_text if "text" in rows else _against_series
    inputs = rows["text" if "text" in rows else "series"].tolist()
    return pd.Series([against(value) for value in inputs], rows.index, dtype="str")


def _against_text(text: Any) -> str | None:
    if not isinstance(text, str):
        return "text is missing"
    return None if text.strip() else "text is empty"


def _against_series(series: Any) -> str | None:
    if not hasattr(series, "__len__"):
        return "series is missing"
    if not len(series):
        return "series has no steps"
    if any(value is not None and math.isfinite(value) for step in series for value in step):
        return None
    return "series has no value, only missing ones"


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A function that appends frames to a file, which appears under its name when all is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    opened = {"csv": _csv, "parquet": _parquet, "jsonl": _jsonl}[_format(path)]
    try:
        with opened(partial) as write:
            yield write
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _csv(path: Path) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8", newline="") as file:
        started = False

        def write(frame: pd.DataFrame) -> None:
            nonlocal started
            frame.to_csv(file, header=not started, index=False, quoting=csv.QUOTE_MINIMAL)
            started = True

        yield write


@contextmanager
def _jsonl(path: Path) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda frame: frame.to_json(file, orient="records", lines=True, double_precision=15)


@contextmanager
def _parquet(path: Path) -> Iterator[Writer]:
    import pyarrow as pa
    from pyarrow import parquet

    with ExitStack() as files:
        opened: dict[str, parquet.ParquetWriter] = {}

        def write(frame: pd.DataFrame) -> None:
            table: pa.Table = pa.Table.from_pandas(frame, preserve_index=False)
            if not opened:
                opened["it"] = files.enter_context(parquet.ParquetWriter(path, table.schema))
            opened["it"].write_table(table)

        yield write


def _format(path: Path) -> str:
    """csv, parquet or jsonl, by the ending.

    Raises:
        ConfigError: any other ending.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(
            f"{path}: ending {path.suffix!r} is none of {', '.join(FORMATS)}; rename or convert it"
        )
    return FORMATS[path.suffix]


def _options(pipeline: Pipeline, kind: str) -> dict[str, Any]:
    """The pipeline's own reader options where the file is of the same kind, but for its place."""
    reader = pipeline.source.reader
    if reader.name != kind:
        return {}
    return {name: value for name, value in reader.options.items() if name not in ("path", "sha256")}
