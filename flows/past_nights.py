"""Models of past nights, each trained once on the rows up to its date, and what they answer."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infra.storage import Storage
from model_registry import signing
from model_registry.words import counted
from tasks.config import ConfigError, Pipeline
from tasks.references import Prepared, Snapshot

if TYPE_CHECKING:
    import pandas as pd

    Answers = NDArray[np.float32]

logger = logging.getLogger(__name__)

_turn = threading.Lock()


@dataclass(frozen=True)
class PastNight:
    """One night's challenger and the rows that judge it.

    Attributes:
        day: Logical date.
        challenger: Name of the candidate that won on validation rows.
        bundle: Its sealed bundle.
        prepared: The night's rows.
    """

    day: date
    challenger: str
    bundle: str
    prepared: Prepared


def train_nights(pipeline: Pipeline, days: Sequence[date], home: Path) -> list[PastNight]:
    """Each night's challenger; nights that an earlier call finished are read, not repeated.

    No night depends on another: policies judge them later. On a Ray cluster their jobs go there
    side by side, while the next night is prepared here.

    Args:
        pipeline: What to train.
        days: Logical dates, ascending.
        home: Folder of backtests; a pipeline that trains otherwise has another folder in it.

    Raises:
        NoCluster: there is one to go to, and it cannot be used.
    """
    apart = {"gates", "policy", "schedule", "description", "serving"}
    what = pipeline.model_dump(mode="json", exclude=apart)
    what |= {"budget": pipeline.budget} if pipeline.budget else {}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    with _side_by_side(pipeline) as each:
        return list(each(partial(_night, pipeline, home / key), days))


def _night(pipeline: Pipeline, home: Path, day: date) -> PastNight:
    folder = home / day.isoformat()
    record = folder / "night.json"
    if not record.exists():
        logger.info("backtest: night %s trains", day)
        _write(record, _trained(pipeline, day, folder))
    facts = json.loads(record.read_text("utf-8"))
    prepared = Prepared.model_validate(facts["prepared"])
    return PastNight(day, facts["challenger"], facts["bundle"], prepared)


@contextmanager
def _side_by_side(pipeline: Pipeline) -> Iterator[Callable[..., Iterator[Any]]]:
    """How nights are gone through: one after the other, on a cluster several at once.

    As many as their jobs fill `NOCTURNE_WORKERS`, and one more, which is prepared meanwhile.
    """
    from infra.settings import Settings

    settings = Settings()
    if not settings.ray:
        yield map
        return
    from tasks.candidates import cluster

    cluster.reached()  # in this thread, which hears signals
    jobs = len(pipeline.candidates) * max(1, pipeline.folds * pipeline.fold_repeats)
    pool = ThreadPoolExecutor(max(1, settings.workers // jobs) + 1)
    try:
        yield pool.map
    except BaseException:
        cluster.leaving.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        cluster.leaving.clear()


def _trained(pipeline: Pipeline, day: date, folder: Path) -> dict[str, Any]:
    """One night's challenger; what is not training takes turns with that of other nights."""
    from infra.local import LocalStorage
    from infra.settings import Settings
    from tasks.datasets.intake import take_in
    from tasks.evaluation.selection import in_time, ranking
    from tasks.inference.assembly import assemble
    from tasks.inference.timing import milliseconds_alone
    from tasks.prepare import prepared_in
    from tasks.train import train

    storage = LocalStorage(folder.parent / "store")
    with _turn:
        snapshot = usable(pipeline, take_in(pipeline, day, storage), storage)
        prepared = prepared_in(folder / "prepared", pipeline, snapshot, storage)
    metric = pipeline.evaluation.metric
    sound = [each for each in train.fn(pipeline, prepared) if not each.failed]
    validation = {each.name: each.validation[metric] for each in sound}
    ranked = [each for each, _ in ranking(sound, validation, metric, prepared)]
    bundle, key = folder / "bundle", Settings().signing_key
    timer = partial(milliseconds_alone, pipeline, prepared, key=key)
    best, _ = in_time(ranked, pipeline.budget, timer)
    with _turn:
        assemble(
            Path(best.directory),
            Path(prepared.directory),
            prepared.classes,
            pipeline.model_dump(mode="json"),
            into=bundle,
            key=key,
        )
    return {
        "challenger": best.name,
        "bundle": str(bundle),
        "prepared": prepared.model_dump(mode="json"),
    }


def usable(pipeline: Pipeline, snapshot: Snapshot, storage: Storage) -> Snapshot:
    """The rows that have a label, an input and a time; a night would quarantine the others.

    Raises:
        DataError: a snapshot that is not what its digest says.
        StorageError: a store that refuses or does not answer.
    """
    from tasks.datasets import snapshots
    from tasks.validate import snapshot_of

    with snapshots.opened(snapshot.key, snapshot.digest, storage) as rows:
        gaps = np.concatenate([_with_gap(frame) for frame in rows.frames()])
        if left := int(gaps.sum()):
            logger.info("backtest: %s with a gap left out", counted(left, "row"))
        return snapshot_of(rows, gaps, snapshot, pipeline.name, storage)[0]


def _with_gap(frame: pd.DataFrame) -> NDArray[np.bool_]:
    needed = [name for name in ("label", "text", "series", "time") if name in frame]
    return np.asarray(frame[needed].isna().any(axis=1), bool)


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts), "utf-8")
    partial.replace(path)


@dataclass(frozen=True)
class Scored:
    """Every model on every later night's rows.

    Attributes:
        days: Of the nights.
        digests: Of each night's test rows.
        sketches: Which rows these are.
        classes: Night to its classes; the last entry is that of the rows to come.
        labels: Night to `(rows,)` of its test rows.
        tests: Model and night to `(rows, classes)` of its test rows.
        live_labels: Night to `(rows,)` of what came until the next night.
        live: Model and night to `(rows, classes)` of them.
    """

    days: Sequence[date]
    digests: Sequence[str]
    sketches: Sequence[str]
    classes: Sequence[tuple[str, ...]]
    labels: Sequence[NDArray[np.int64]]
    tests: Mapping[tuple[int, int], Answers]
    live_labels: Sequence[NDArray[np.int64]]
    live: Mapping[tuple[int, int], Answers]


def score_nights(pipeline: Pipeline, nights: Sequence[PastNight]) -> Scored:
    """Load each model once and let it answer the rows of its own and of all later nights.

    Raises:
        ConfigError: rows without a time: there is no past to replay.
    """
    from infra.native import without_chatter
    from infra.settings import Settings
    from tasks.inference.assembly import read_rows
    from tasks.inference.classifier import SequenceClassifier
    from tasks.register import in_classes

    frames = [read_rows(Path(n.prepared.directory) / "rows_test.parquet") for n in nights]
    later = list(_later(pipeline, [night.day for night in nights]))
    known = sorted({*nights[-1].prepared.classes, *(c for rows in later for c in rows["label"])})
    classes = [*(night.prepared.classes for night in nights), tuple(known)]
    key = signing.public_key_of(Settings().signing_key)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each model is traced, as it must be
    tests: dict[tuple[int, int], Answers] = {}
    live: dict[tuple[int, int], Answers] = {}
    for model, night in enumerate(nights):
        with without_chatter():
            loaded = SequenceClassifier.load(Path(night.bundle), public_key=key)
        for at in range(model, len(nights)):
            for found, rows, wanted in ((tests, frames, at), (live, later, len(nights))):
                said = loaded.predict_proba(rows[at])
                found[model, at] = in_classes(said, loaded.classes, classes[wanted])
    return Scored(
        [night.day for night in nights],
        [night.prepared.test_digest for night in nights],
        [night.prepared.test_sketch for night in nights],
        classes,
        [_indices(f, c) for f, c in zip(frames, classes[:-1], strict=True)],
        tests,
        [_indices(rows, classes[-1]) for rows in later],
        live,
    )


def _later(pipeline: Pipeline, days: Sequence[date]) -> Iterator[pd.DataFrame]:
    """What came after each night until the next; of the last, until the day after."""
    import pandas as pd

    from tasks.datasets.canonical import end_of
    from tasks.datasets.duplicates import without_duplicates
    from tasks.datasets.reading import read

    last = days[-1] + timedelta(days=1)
    rows = read(pipeline, last)
    frame, _ = without_duplicates(rows[~_with_gap(rows)].reset_index(drop=True))
    if "time" not in frame:
        raise ConfigError("columns.time: a backtest needs it to know which rows came when")
    for begin, end in zip(days, [*days[1:], last], strict=True):
        after = frame["time"] > pd.Timestamp(end_of(begin))
        until = frame["time"] <= pd.Timestamp(end_of(end))
        yield frame[after & until].reset_index(drop=True)


def _indices(rows: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place[label] for label in rows["label"]], np.int64)
