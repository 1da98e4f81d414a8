"""Stage: a champion on probation and its predecessor, on rows that neither has learnt from."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import task

from infra.settings import Settings
from infra.storage import Storage, StorageError, open_storage
from model_registry import signing
from model_registry.errors import GateError, RegistryError
from model_registry.probation import Finding, Said, Terms, Trial, judge
from model_registry.state import Champion
from model_registry.store import Registry
from model_registry.words import counted
from tasks.config import Pipeline
from tasks.datasets.errors import DataError
from tasks.inference.fetching import fetched
from tasks.inference.fresh import ScoringFailed, score_in_fresh_process
from tasks.references import Measured, Probed, Snapshot

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


@task
def probe(pipeline: Pipeline, day: date, trial: Trial, taken: Snapshot, *, look: int) -> Probed:
    """One look at both versions, each from its verified bundle in a process of its own.

    Where something stands in the way nothing is judged, and the reason says what: the night goes
    on, and the champion serves on.

    Args:
        pipeline: Its `policy.probation` says how.
        day: The night's logical date.
        trial: Whom it is about.
        taken: The night's clean rows.
        look: Which look of this probation it is, from 1.
    """
    storage, how = open_storage(Settings()), pipeline.policy.probation
    try:
        rows = _new_rows(pipeline, trial, taken, storage)
        if len(rows) < how.min_rows:
            said = (
                f"not judged: {counted(len(rows), 'labelled row')} so far that neither learnt "
                f"from, policy.probation.min_rows = {how.min_rows:,}"
            )
            return _probed(pipeline, day, trial, said, rows=len(rows))
        found = _found(pipeline, trial, rows, look)
    except (RegistryError, ScoringFailed, DataError, GateError, StorageError) as error:
        return _probed(pipeline, day, trial, f"not judged: {error}")
    return _judged(pipeline, day, trial, found)


def _new_rows(pipeline: Pipeline, trial: Trial, taken: Snapshot, storage: Storage) -> pd.DataFrame:
    from tasks.datasets import snapshots
    from tasks.datasets.unseen import unseen

    earlier = []
    for one, digest in zip((trial.champion, trial.predecessor), trial.snapshots, strict=True):
        if digest is None:
            raise DataError(f"nobody wrote down which rows v{one.version} was made from")
        key = snapshots.key_of(pipeline.name, digest)
        earlier.append(snapshots.rows_of(key, digest, storage))
    rows = unseen(snapshots.load(taken, storage), *earlier)
    most = pipeline.policy.probation.rows
    if len(rows) <= most:
        return rows
    drawn = np.random.default_rng(pipeline.seed).choice(len(rows), most, replace=False)
    return rows.iloc[np.sort(drawn)].reset_index(drop=True)


def _found(pipeline: Pipeline, trial: Trial, rows: pd.DataFrame, look: int) -> Finding:
    """Both versions' answers, asked at once where there are cores, and what follows."""
    from tasks.datasets.contents import write_rows

    settings = Settings()
    folder = settings.work / pipeline.name / "probation"
    folder.mkdir(parents=True, exist_ok=True)
    asked = folder / "rows.parquet"
    write_rows(rows, asked)
    registry = Registry(settings.mlflow_uri)
    public_key = signing.public_key_of(settings.signing_key)

    def answers(one: Champion) -> Said:
        copies = settings.work / pipeline.name / "champion"
        bundle, manifest = fetched(registry, pipeline.name, one, copies, public_key)
        scores = score_in_fresh_process(
            bundle,
            asked,
            folder / f"v{one.version}.npy",
            expected_digest=manifest.digest,
            public_key=public_key,
        )
        return Said(one.version, scores.classes, scores.probabilities)

    with ThreadPoolExecutor(min(2, settings.workers)) as both:
        champion, predecessor = both.map(answers, (trial.champion, trial.predecessor))
    terms = terms_of(pipeline)
    return judge(rows["label"].tolist(), champion, predecessor, look=look, terms=terms)


def terms_of(pipeline: Pipeline) -> Terms:
    """The pipeline's own terms."""
    how, by = pipeline.policy.probation, pipeline.evaluation
    return Terms(
        looks=how.nights,
        alpha=how.alpha,
        margin=how.margin,
        metric=by.metric,
        confidence=by.confidence,
        samples=by.bootstrap_samples,
        seed=pipeline.seed,
    )


def _judged(pipeline: Pipeline, day: date, trial: Trial, found: Finding) -> Probed:
    apart = found.difference
    return _probed(
        pipeline,
        day,
        trial,
        found.sentence,
        judged=True,
        worse=found.worse,
        rows=apart.rows,
        look=found.look,
        level=found.level,
        difference=Measured(value=apart.difference, low=apart.low, high=apart.high),
        numbers=found.numbers,
    )


def _probed(pipeline: Pipeline, day: date, trial: Trial, reason: str, **found: Any) -> Probed:
    logger.info("probation: %s", reason)
    return Probed(
        pipeline=pipeline.name,
        logical_date=day.isoformat(),
        version=trial.champion.version,
        since=trial.champion.since,
        predecessor=trial.predecessor.version,
        of=pipeline.policy.probation.nights,
        reason=reason,
        **found,
    )
