"""Stages around the registry: the challenger becomes a version, the champion is scored again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from prefect import task

from infra.settings import Settings
from infra.storage import open_storage
from model_registry import signing
from model_registry.bundle import Manifest
from model_registry.mirror import MlflowMirror
from model_registry.runs import Runs
from model_registry.state import Champion
from model_registry.store import Registry
from model_registry.versions import Version
from tasks import reference_rows
from tasks.config import Pipeline
from tasks.inference import golden
from tasks.inference.assembly import assemble
from tasks.inference.fetching import fetched
from tasks.inference.fresh import Scores, ScoringFailed, score_in_fresh_process
from tasks.inference.runtime import served_model
from tasks.promotions import open_promotions
from tasks.references import ChampionScores, Evaluation, Prepared, Registered, Trained

if TYPE_CHECKING:
    Answers = NDArray[np.float32]

logger = logging.getLogger(__name__)


@task
def register(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: Sequence[Trained],
    evaluation: Evaluation,
    run_id: str,
    logical_date: date,
) -> Registered:
    """Seal the challenger's bundle, prove it in a fresh process, and register it in Staging.

    Args:
        pipeline: Its name is the registered model's.
        prepared: The night's rows.
        trained: The candidates; the evaluation says which one challenges.
        evaluation: The night's evaluation.
        run_id: MLflow run of the night.
        logical_date: The night.

    Raises:
        BundleRefused: the bundle would not be accepted by a reader.
        ScoringFailed: it does not answer the test rows as training did.
        RegistryError: MLflow refused or did not answer.
    """
    settings = Settings()
    challenger = next(one for one in trained if one.name == evaluation.challenger)
    bundle = settings.work / pipeline.name / "challenger" / "bundle"
    manifest = assemble(
        Path(challenger.directory),
        Path(prepared.directory),
        prepared.classes,
        pipeline.model_dump(mode="json"),
        into=bundle,
        key=settings.signing_key,
    )
    key = signing.public_key_of(settings.signing_key)
    scores = proved(bundle, manifest, challenger, prepared, key)
    tags = tags_of(pipeline, prepared, evaluation, logical_date)
    version = _staged(pipeline, bundle, run_id, tags)
    reference_rows.write(
        open_storage(settings),
        pipeline.name,
        version.version,
        prepared=Path(prepared.directory),
        probabilities=scores.probabilities,
        classes=prepared.classes,
    )
    Runs(settings.mlflow_uri, pipeline.name).log_metrics(run_id, costs_of(scores))
    return Registered(
        model=pipeline.name,
        version=version.version,
        run_id=run_id,
        digest=manifest.digest,
        latency_milliseconds=scores.milliseconds_one_row,
        golden_difference=scores.golden_difference,
        scored_digest=scores.digest,
    )


@task
def score_champion(
    pipeline: Pipeline, prepared: Prepared, champion: Champion | None
) -> ChampionScores | None:
    """The champion's answers to tonight's test rows, in tonight's classes; None without one.

    Args:
        pipeline: Its name is the registered model's.
        prepared: The night's rows.
        champion: Who serves, by the ledger.

    Raises:
        RegistryError: its files are not there, or MLflow does not answer.
        BundleRefused: its files are not what was registered.
        ScoringFailed: it does not answer its golden rows as its training did.
    """
    if champion is None:
        logger.info("model %s: nothing is in Production yet", pipeline.name)
        return None
    settings = Settings()
    registry = Registry(settings.mlflow_uri)
    folder = settings.work / pipeline.name / "champion"
    public_key = signing.public_key_of(settings.signing_key)
    bundle, manifest = fetched(registry, pipeline.name, champion, folder, public_key)
    scores = score_in_fresh_process(
        bundle,
        Path(prepared.directory) / "rows_test.parquet",
        folder / "scores.npy",
        expected_digest=manifest.digest,
        public_key=public_key,
    )
    path = folder / "test_probabilities.npy"
    aligned = in_classes(scores.probabilities, scores.classes, prepared.classes)
    np.save(path, aligned, allow_pickle=False)
    return ChampionScores(
        version=champion.version,
        digest=manifest.digest,
        probabilities=str(path),
        classes=scores.classes,
        test_digest=prepared.test_digest,
    )


def _staged(pipeline: Pipeline, bundle: Path, run_id: str, tags: Mapping[str, str]) -> Version:
    """The bundle as the challenger in Staging; one that is in Production already stays there."""
    settings = Settings()
    registry = Registry(settings.mlflow_uri)
    served = served_model(bundle, bundle.with_name("code"))
    version = registry.register(pipeline.name, bundle, served, run_id=run_id, tags=tags)
    waiting = frozenset(open_promotions(pipeline, settings).state().proposals)
    return MlflowMirror(registry, pipeline.name).challenge(version.version, waiting=waiting)


def proved(
    bundle: Path, manifest: Manifest, challenger: Trained, prepared: Prepared, public_key: Path
) -> Scores:
    """The bundle's answers to the test rows, given in a process that knows nothing else.

    Raises:
        ScoringFailed: they differ from what training computed.
    """
    scores = score_in_fresh_process(
        bundle,
        Path(prepared.directory) / "rows_test.parquet",
        bundle.with_name("scores.npy"),
        expected_digest=manifest.digest,
        public_key=public_key,
    )
    path = Path(challenger.directory) / "test_probabilities.npy"
    expected = np.load(path, allow_pickle=False)
    off = np.abs(scores.probabilities - expected)
    if not off.max(initial=0.0) <= golden.TOLERANCE:
        row = int(off.max(axis=1).argmax())
        raise ScoringFailed(
            f"challenger {challenger.name!r}: its bundle answers test row {row} with a difference "
            f"of {off[row].max():.2e} to training, at most {golden.TOLERANCE:.0e} is allowed; "
            "what would serve is not what was trained"
        )
    return scores


def in_classes(answers: Answers, known: Sequence[str], wanted: Sequence[str]) -> Answers:
    """Answers in other classes: a class not known is a column of NaN.

    What went to classes that are not wanted any more is shared out among the others in
    proportion, so that each row still sums to one.

    Args:
        answers: `(rows, known)`.
        known: Classes of the answers.
        wanted: Classes of the result.

    Returns:
        `(rows, wanted)` float32.
    """
    shared = [name for name in wanted if name in known]
    kept = answers[:, [list(known).index(name) for name in shared]].astype(np.float64)
    sums = kept.sum(axis=1, keepdims=True)
    kept = np.where(sums > 0, kept / np.where(sums > 0, sums, 1), 1 / max(len(shared), 1))
    result = np.full((len(answers), len(wanted)), np.nan, np.float32)
    result[:, [list(wanted).index(name) for name in shared]] = kept
    return result


def tags_of(
    pipeline: Pipeline, prepared: Prepared, evaluation: Evaluation, logical_date: date
) -> dict[str, str]:
    """What a version says of itself on MLflow's page."""
    candidate = next(one for one in pipeline.candidates if one.name == evaluation.challenger)
    found = evaluation.challenger_scores.test[evaluation.metric]
    return {
        "pipeline": pipeline.name,
        "logical_date": logical_date.isoformat(),
        "candidate": candidate.name,
        "architecture": candidate.architecture.name,
        "resampling": candidate.resampling.name,
        "test_digest": prepared.test_digest,
        f"test_{evaluation.metric}": f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]",
    }


def costs_of(scores: Scores) -> dict[str, float]:
    """What the bundle costs a reader, as metrics of the night."""
    return {
        "bundle_golden_difference": scores.golden_difference,
        "bundle_milliseconds_per_row": scores.milliseconds_per_row,
        "bundle_milliseconds_one_row": scores.milliseconds_one_row,
    }
