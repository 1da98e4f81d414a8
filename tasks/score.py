"""Stage: Production over a batch of rows; every row is answered or rejected with a reason."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from infra.native import without_chatter
from infra.settings import Settings
from infra.storage import LocalStorage, Storage, open_place, open_storage
from model_registry import signing
from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.state import Champion
from model_registry.store import Registry
from tasks import live_inputs, progress
from tasks.config import Choice, Pipeline
from tasks.datasets.errors import DataError
from tasks.inference.fetching import fetched
from tasks.lease import Lease, holding_batch
from tasks.promotions import open_promotions, reconciled
from tasks.references import Predictions
from tasks.scoring.ahead import Ahead
from tasks.scoring.answering import Answered, answer
from tasks.scoring.grouping import SourceChanged
from tasks.scoring.job import Job, Manifest, Part, Record, begun, clear
from tasks.scoring.listing import format_of
from tasks.scoring.plan import Plan, no_rows, planned
from tasks.scoring.sources import Chunk, Cursor
from tasks.scoring.writers import join

if TYPE_CHECKING:
    from tasks.inference.classifier import SequenceClassifier

logger = logging.getLogger(__name__)

CHUNK_ROWS = 10_000


@task
def score_batch(
    pipeline: Pipeline,
    source: str | Choice | None = None,
    target: str | None = None,
    logical_date: date | None = None,
    *,
    fresh: bool = False,
) -> Predictions:
    """Let Production answer the rows of a batch.

    The version that serves when a job begins is pinned: a run that was killed goes on with it,
    at the first part that is missing, and leaves the bytes that an unkilled one would have.

    Args:
        pipeline: Says which column is the input and which the id.
        source: File, folder, `s3://bucket/prefix`, SELECT or reader; `scoring.input` if absent.
        target: File, or folder or `s3://bucket/prefix` for parts; `scoring.output` if absent.
        logical_date: Fills `{date}` and is the end of what a query may see; today if absent.
        fresh: Score everything anew.

    Returns:
        What came of it; `refused` where more rows than `scoring.max_rejected` had no answer.

    Raises:
        RegistryError: nothing is in Production, its files are missing, or MLflow is away.
        BundleRefused: its files are not what was registered.
        ConfigError: an input or output that cannot be one.
        DataError: the input does not hold what the pipeline names.
        StorageError: the output's place refuses or does not answer.
        StillRunning: another process writes to the same target.
        LeaseLost: this one was given up for dead, and another took the batch over.
    """
    plan = planned(pipeline, source, target, logical_date)
    settings = Settings()
    asked = (pipeline.name, plan.day, plan.place, open_storage(settings))
    with holding_batch(*asked, lasts=settings.lease_seconds) as lease:
        run = _Run(pipeline, plan, _champion(pipeline), lease)
        try:
            return run.finish(*run.score(fresh=fresh))
        except (SourceChanged, VersionGone) as changed:
            logger.warning("%s: scored anew, because %s", plan.target, changed)
            return run.finish(*run.score(fresh=True))


def _champion(pipeline: Pipeline) -> Champion:
    champion = reconciled(open_promotions(pipeline), "score").champion
    if champion is None:
        raise RegistryError(
            f"model {pipeline.name!r}: nothing is in Production to score with; run "
            "`nocturne retrain` first, or promote a version"
        )
    return champion


@dataclass
class _Meter:
    """How many rows are done, and how fast."""

    rows: int = 0
    began: float = 0.0

    def told(self, rows: int) -> None:
        self.began = self.began or time.perf_counter() - 1e-9
        self.rows += rows
        progress.report("score", self.rows, None, f"rows, {self.rate:,.0f} rows/s")

    @property
    def rate(self) -> float:
        return self.rows / (time.perf_counter() - self.began) if self.began else 0.0


class VersionGone(RuntimeError):
    """The version that a job began with is no longer there; the message names both."""


class _Run:
    """One run of a job: where it lies, who answers, what is left to do."""

    def __init__(self, pipeline: Pipeline, plan: Plan, champion: Champion, lease: Lease) -> None:
        self.pipeline = pipeline
        self.plan = plan
        self.champion = champion
        self.lease = lease
        self.settings = Settings()
        self.place: Storage = (
            LocalStorage(plan.job_folder) if plan.single else open_place(plan.target, self.settings)
        )
        self.meter = _Meter()
        self.taken = 0

    def score(self, *, fresh: bool) -> tuple[Job, list[Part]]:
        """Answer every row that no earlier run answered."""
        job = begun(self.place, self._asked(), fresh=fresh)
        done = job.parts()
        if job.finished and sum(part.rows for part in done) == job.told().rows:
            logger.info("%s: finished by an earlier run; --force scores anew", self.plan.target)
            self.taken = len(done)
            return job, done
        self.taken = len(done)
        if done:
            logger.info("%d parts are finished; going on after row %d", len(done), _rows(done))
        at = Cursor(*done[-1].after) if done else Cursor()
        chunks = self.plan.source.chunks(at, job.record.chunk_rows)
        nothing = Chunk(no_rows(self.pipeline), (), at)
        with Ahead(chunks) as ahead:
            try:
                first = list(itertools.islice(ahead, 1))  # to end before a model is loaded
            except DataError:
                if self.plan.single and not done:
                    shutil.rmtree(self.plan.job_folder)  # nothing of it is worth going on from
                raise
            answers = self._answers(job, self._classifier(job))
            self.meter.began = time.perf_counter()
            chunks = itertools.chain(first, ahead)
            parts = job.run(chunks, done, answers, self.meter.told, nothing, self.settings.workers)
        progress.report("score", _rows(parts), _rows(parts), f"rows, {self.meter.rate:,.0f} rows/s")
        return job, parts

    def _asked(self) -> Record:
        scoring = self.pipeline.scoring
        return Record(
            model=self.pipeline.name,
            version=self.champion.version,
            digest=self.champion.digest,
            source=self.plan.source.identity(),
            format=format_of(self.plan.target) if self.plan.single else scoring.format,
            part_rows=scoring.part_rows,
            chunk_rows=min(CHUNK_ROWS, scoring.part_rows),
            sample=scoring.sample if self.plan.configured else 0,
        )

    def _classifier(self, job: Job) -> SequenceClassifier:
        """The version that the job began with.

        Raises:
            VersionGone: its files are no longer there, and another serves now.
        """
        if job.record.digest == self.champion.digest:
            return self._loaded(self.champion)
        pinned = Champion(job.record.version, job.record.digest, 0)
        try:
            return self._loaded(pinned)
        except RegistryUnreachable:
            raise
        except RegistryError as gone:
            said = f"v{pinned.version}, which the job began with, is gone ({gone})"
            raise VersionGone(f"{said}; v{self.champion.version} serves now") from None

    def _loaded(self, champion: Champion) -> SequenceClassifier:
        from tasks.inference.classifier import SequenceClassifier

        # chunks share the cores: a recurrent layer loses a third of its speed to more threads
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
        settings, name = self.settings, self.pipeline.name
        public_key = signing.public_key_of(settings.signing_key)
        folder = settings.work / name / "champion"
        registry = Registry(settings.mlflow_uri)
        place, manifest = fetched(registry, name, champion, folder, public_key)
        with without_chatter():
            return SequenceClassifier.load(
                place, expected_digest=manifest.digest, public_key=public_key
            )

    def _answers(self, job: Job, classifier: SequenceClassifier) -> Callable[[Chunk], Answered]:
        id_name = self.pipeline.columns.id or "row_id"

        def answered(chunk: Chunk) -> Answered:
            return answer(
                classifier,
                chunk.rows,
                chunk.bad,
                id_name=id_name,
                version=job.record.version,
                digest=job.record.digest,
            )

        return answered

    def finish(self, job: Job, parts: list[Part]) -> Predictions:
        """The last mark, or the one file; and the sample for monitoring."""
        self.lease.check()
        manifest = job.manifest(parts)
        refused = why_refused(manifest, self.pipeline.scoring.max_rejected)
        self._show_monitoring(job, parts)
        if self.plan.single:
            rejects = self._into_one(job, manifest)
        else:
            job.close(manifest, accepted=refused is None)
            rejects = f"{self.place.uri}/_rejects" if manifest.rejects else None
        if isinstance(self.place, LocalStorage):
            self.place.tidy()
        logger.info(
            "%s: v%s scored %d of %d rows",
            self.plan.target,
            manifest.version,
            manifest.scored,
            manifest.rows,
        )
        return Predictions(
            model=manifest.model,
            version=manifest.version,
            digest=manifest.digest,
            rows=manifest.rows,
            scored=manifest.scored,
            rejected=manifest.rejected,
            output=self.plan.target,
            rejects=rejects,
            parts=len(parts),
            taken=self.taken,
            refused=refused,
            rows_per_second=round(self.meter.rate, 1),
        )

    def _into_one(self, job: Job, manifest: Manifest) -> str | None:
        target = Path(self.plan.target)
        beside = target.with_name(f"{target.name}.rejects.csv")
        join([self.plan.job_folder / name for name in manifest.parts], target)
        if manifest.rejects:
            join([self.plan.job_folder / name for name in manifest.rejects], beside)
        else:
            beside.unlink(missing_ok=True)
        clear(job.place)
        shutil.rmtree(self.plan.job_folder)
        return str(beside) if manifest.rejects else None

    def _show_monitoring(self, job: Job, parts: list[Part]) -> None:
        """The sample of the batch, among the live inputs of its day; a rerun replaces it."""
        sample = job.sample(parts)
        if sample is not None:
            storage = open_storage(self.settings)
            day, name = self.plan.day, f"batch-{self.plan.name}"
            live_inputs.replace(storage, self.pipeline.name, day, name, sample)


def _rows(parts: Sequence[Part]) -> int:
    return sum(part.rows for part in parts)


def why_refused(manifest: Manifest, most: float) -> str | None:
    """A sentence where more rows than allowed had no answer."""
    share = manifest.rejected / manifest.rows if manifest.rows else 0.0
    if share <= most:
        return None
    return (
        f"{manifest.rejected:,} of {manifest.rows:,} rows ({share:.1%}) could not be answered, "
        f"scoring.max_rejected allows {most:.1%}; the answers of the others are written: look "
        "at the rejects, then at the source"
    )
