"""The night: from the source to a verdict, and to Production when the verdict allows it."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.promotion import begin, conclude
from infra.settings import Settings
from infra.storage import open_storage
from tasks import nights
from tasks.choices import check
from tasks.config import Pipeline
from tasks.datasets.errors import DataError
from tasks.decide import decide
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.notify import notify
from tasks.prepare import prepare
from tasks.promotions import open_promotions, seen_by
from tasks.provenance import facts_of
from tasks.references import Evaluation, Night, Prepared, Snapshot, Validated
from tasks.register import register, score_champion
from tasks.report import report
from tasks.track import finish_run, log_candidates, start_run
from tasks.train import train
from tasks.validate import validate

logger = logging.getLogger(__name__)


class NightFailed(RuntimeError):
    """The night ended without a model; `night` says where and why."""

    def __init__(self, night: Night) -> None:
        super().__init__(f"night {night.logical_date} of {night.pipeline!r} failed: {night.reason}")
        self.night = night


@flow(name="retrain", flow_run_name="{pipeline.name}", persist_result=False)
def retrain(pipeline: Pipeline, logical_date: date | None = None) -> Night:
    """Run one night of a pipeline; a night that is finished already changes nothing.

    Args:
        pipeline: What to compute.
        logical_date: The day whose night this is; today in UTC, or the day it was scheduled for.

    Returns:
        The record of the night: promoted, kept or skipped.

    Raises:
        NightFailed: the contract refused the data, or a step broke; recorded before it is raised.
        ConfigError: the pipeline names something that is in no table.
        NightRunning: another night of this pipeline is under way.
    """
    check(pipeline)
    settings = Settings()
    storage = open_storage(settings)
    day = logical_date or _scheduled_day()
    with nights.exclusive(pipeline.name, settings.home):
        finished = nights.load(pipeline.name, day, storage)
        if finished is not None and finished.outcome != "failed":
            logger.info("night %s is finished: %s; nothing to do", day, finished.reason)
            return finished
        night = _Steps(pipeline, day).run()
        nights.save(night, storage)
        notify(night)
    if night.outcome == "failed":
        raise NightFailed(night)
    return night


def _scheduled_day() -> date:
    """The UTC day this run was scheduled for: a late run still does its own night."""
    scheduled: datetime | None = flow_run.scheduled_start_time
    return (scheduled or datetime.now(UTC)).astimezone(UTC).date()


class _Steps:
    """The steps of a night in order, and what is known of it so far."""

    def __init__(self, pipeline: Pipeline, day: date) -> None:
        self.pipeline = pipeline
        self.day = day
        self.facts: dict[str, Any] = {"pipeline": pipeline.name, "logical_date": day.isoformat()}
        self.facts["seed"] = pipeline.seed
        self.seconds: dict[str, float] = {}
        self.snapshot: Snapshot | None = None
        self.validated: Validated | None = None
        self.prepared: Prepared | None = None
        self.evaluation: Evaluation | None = None

    def run(self) -> Night:
        """All steps; whatever stops them becomes the reason of a failed night."""
        try:
            self._data()
            if self.snapshot is not None and self.prepared is not None:
                self._models(self.snapshot, self.prepared)
        except DataError as error:
            self.facts |= {"reason": str(error), "refused_by": "contract"}
        except Exception as error:
            logger.debug("night %s broke", self.day, exc_info=True)
            self.facts |= {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
        self._report()
        night = self._night()
        finish_run(night)
        return night

    def _data(self) -> None:
        """From the source to encoded rows; a refused batch leaves `prepared` empty."""
        with self._timed("start"):
            begin(self.pipeline, self.day)
            self.facts["run_id"] = start_run(self.pipeline, self.day)
        with self._timed("ingest"):
            self.snapshot = ingest(self.pipeline, self.day)
            self.facts["data_digest"] = self.snapshot.digest
        with self._timed("validate"):
            self.validated = validate(self.pipeline, self.snapshot, self.day)
        if not self.validated.accepted or self.validated.clean is None:
            self.facts |= {"reason": self.validated.reason, "refused_by": "contract"}
            return
        with self._timed("prepare"):
            self.prepared = prepare(self.pipeline, self.validated.clean)
            self.facts["test_digest"] = self.prepared.test_digest

    def _models(self, snapshot: Snapshot, prepared: Prepared) -> None:
        """From encoded rows to a verdict, and to Production when the verdict allows it."""
        pipeline, facts = self.pipeline, self.facts
        with self._timed("train"):
            trained = train(pipeline, prepared)
            facts["candidates"] = trained
        with self._timed("evaluate"):
            seen = seen_by(open_promotions(pipeline), self.day)
            expected, looks = seen.champion, seen.looks.get(prepared.test_digest, 0)
            champion = score_champion(pipeline, prepared, expected)
            rows = champion.probabilities if champion else None
            self.evaluation = evaluation = evaluate(pipeline, prepared, trained, rows)
            facts["champion_before"] = champion.version if champion else None
            facts["champion_after"] = facts["champion_before"]
            facts["challenger"] = evaluation.challenger
        with self._timed("register"):
            log_candidates(pipeline, facts["run_id"], snapshot, prepared, trained, evaluation)
            registered = register(
                pipeline, prepared, trained, evaluation, facts["run_id"], self.day
            )
            facts |= {"version": registered.version, "stage": "Staging"}
        with self._timed("decide"):
            verdict = decide(
                pipeline, prepared, trained, evaluation, champion, registered, looks=looks
            )
            facts["verdict"] = verdict
            rests_on = facts_of(
                pipeline,
                self.day,
                evaluation,
                verdict,
                data_digest=snapshot.digest,
                run_id=facts["run_id"],
            )
            facts |= conclude(pipeline, self.day, registered, expected, verdict, rests_on)
        facts |= evaluation.in_production(promoted=facts["outcome"] == "promoted")

    def _report(self) -> None:
        """The page of the night, whatever came of it; a page that fails does not fail the night."""
        try:
            with self._timed("report"):
                self.facts["report"] = report(
                    self.pipeline,
                    self._night(),
                    self.snapshot,
                    self.validated,
                    self.prepared,
                    self.evaluation,
                )
        except Exception:
            logger.exception("the report of night %s could not be written", self.day)

    def _night(self) -> Night:
        seconds = {step: round(spent, 2) for step, spent in self.seconds.items()}
        finished_at = datetime.now(UTC).isoformat(timespec="seconds")
        return Night(**self.facts, seconds=seconds, finished_at=finished_at)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        logger.info("%s ...", step)
        try:
            yield
        finally:
            self.seconds[step] = time.perf_counter() - began
            logger.info("%s done in %.1f s", step, self.seconds[step])
