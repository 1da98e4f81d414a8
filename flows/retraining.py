"""The night: from the source to a verdict, and to Production when the verdict allows it."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, cast

from prefect import flow
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows import missed
from flows.cleaning import after_night
from flows.display import aloud
from flows.kept import KeptSteps
from flows.overlap import given_way, patience
from flows.probation import undergo
from flows.promotion import begin, conclude
from flows.reaping import reap
from flows.recording import record, skipped_for
from infra import memory
from infra.failpoints import failpoint
from infra.settings import Settings
from infra.stopping import NightStopped, stoppable
from infra.storage import open_storage
from model_registry.errors import RegistryUnreachable
from model_registry.state import Champion
from tasks import nights, questions, shadow_findings
from tasks.choices import check
from tasks.config import Pipeline
from tasks.datasets.errors import DataError, NotThere
from tasks.decide import decide
from tasks.lease import Lease, LeaseLost, StillRunning, holding
from tasks.notify import notify
from tasks.promotions import open_promotions, seen_by
from tasks.provenance import facts_of
from tasks.references import (
    Evaluation,
    Night,
    Prepared,
    Registered,
    Snapshot,
    Validated,
    Verdict,
)
from tasks.report import report
from tasks.track import finish_run, log_candidates, log_trials, settle_run, start_run
from tasks.train import train
from tasks.tuned import Tuned
from tasks.tuning import past
from tasks.tuning.space import beside

logger = logging.getLogger(__name__)


class NightFailed(RuntimeError):
    """The night ended without a model; `night` says where and why."""

    def __init__(self, night: Night) -> None:
        super().__init__(f"night {night.logical_date} of {night.pipeline!r} failed: {night.reason}")
        self.night = night


@flow(name="retrain", flow_run_name="{pipeline.name}", persist_result=False)
def retrain(pipeline: Pipeline, logical_date: date | None = None, *, force: bool = False) -> Night:
    """Run one night of a pipeline; a night that is finished already changes nothing.

    A night that died is found and marked, and the next run for its date goes on at the first
    step that is missing.

    Args:
        pipeline: What to compute.
        logical_date: The day whose night this is; by default the day it was scheduled for, or
            today, where the schedule's cron is read.
        force: Run it whatever is known already, and compute every step anew.

    Returns:
        The record of the night: promoted, kept or skipped.

    Raises:
        NightFailed: the contract refused the data, or a step broke; recorded before it is raised.
        ConfigError: the pipeline names something that is in no table.
        StillRunning: another night of this pipeline is under way; a scheduled one is cancelled.
        LeaseLost: this process was given up for dead, and another took the night over.
    """
    check(pipeline)
    scheduled: datetime = flow_run.scheduled_start_time or datetime.now(UTC)
    day = logical_date or missed.logical_day(scheduled, pipeline.schedule)
    covers = logical_date is None and deployment.id is not None  # nobody started it by hand
    try:
        with aloud(pipeline.name):
            night = _one(pipeline, day, scheduled if covers else None, force=force)
    except StillRunning as running:
        return cast("Night", given_way(running))
    if night.outcome == "failed":
        raise NightFailed(night)
    return cast("Night", Completed(message=f"{night.outcome}: {night.reason}", data=night))


def _one(pipeline: Pipeline, day: date, due: datetime | None, *, force: bool) -> Night:
    """The night of a day, under its lease; where it was due by itself, it may be skipped."""
    settings = Settings()
    storage = open_storage(settings)
    held = holding(
        pipeline.name,
        day,
        storage,
        lasts=settings.lease_seconds,
        flow_run_id=flow_run.id,
        patience=patience(),
    )
    with held as lease, stoppable():
        reap(pipeline.name, settings, storage, own=lease.held)
        finished = None if force else nights.finished(pipeline.name, day, storage)
        if finished is not None:
            return finished
        skipped = skipped_for(pipeline, day, due, storage, lease) if due else None
        night = skipped or _Steps(pipeline, day, lease, force=force).run()
        record(night, storage, lease)
        now, serves = datetime.now(UTC), night.champion_after
        notify(night, nights.too_old(pipeline.schedule, pipeline.name, serves, now, storage))
        after_night(pipeline, day, lease.check)
    return night


class _Steps:
    """The steps of a night in order, and what is known of it so far."""

    def __init__(self, pipeline: Pipeline, day: date, lease: Lease, *, force: bool) -> None:
        settings = Settings()
        self.pipeline = pipeline
        self.day = day
        self.lease = lease
        self.force = force
        self.storage = open_storage(settings)
        self.work = settings.work / pipeline.name
        self.kept = KeptSteps(pipeline, day, fresh=force)
        self.facts: dict[str, Any] = {"pipeline": pipeline.name, "logical_date": day.isoformat()}
        self.facts |= {"seed": pipeline.seed, "settings_digest": questions.of_night(pipeline)}
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
        except LeaseLost:
            raise
        except NotThere as error:
            self._refused(str(error), by="source")
        except DataError as error:
            self._refused(str(error))
        except (NightStopped, KeyboardInterrupt) as stop:
            self._stopped(stop)
            raise
        except Exception as error:
            logger.debug("night %s broke", self.day, exc_info=True)
            reason = memory.explained(f"{type(error).__name__}: {error}")
            self.facts |= {"outcome": "failed", "reason": reason}
            if not isinstance(error, RegistryUnreachable):
                self.kept.forget("champion", "register")  # they may be why
        self._report()
        night = self._night()
        finish_run(night)
        return night

    def _refused(self, reason: str, by: str = "contract") -> None:
        """The data are at fault: the next run reads the source again."""
        self.facts |= {"reason": reason, "refused_by": by}
        self.kept.forget("ingest")

    def _stopped(self, stop: BaseException) -> None:
        """Somebody ended the process: say what is kept, leave nothing running."""
        from tasks.training.epochs import resumable

        kept = resumable(self.work / "candidates").items()
        where = ", ".join(f"{name} resumable from epoch {epoch}" for name, epoch in kept)
        reason = f"stopped by {stop or 'the keyboard'}; {where or 'finished steps are kept'}"
        self.facts |= {"outcome": "failed", "reason": f"{reason}; run it again to go on"}
        night = self._night()
        logger.error("night %s: %s", self.day, night.reason)
        record(night, self.storage, self.lease)
        finish_run.fn(night, "KILLED")

    def _nothing_new(self, snapshot: Snapshot) -> bool:
        """Whether an earlier night gave the same rows to the same settings and code."""
        same = None
        if not self.force:
            asked = (snapshot.digest, str(self.facts["settings_digest"]))
            same = nights.same_as(self.pipeline.name, self.day, *asked, self.storage)
        if same is not None:
            champion = open_promotions(self.pipeline).state().champion
            version = champion.version if champion else None
            self.facts |= {"champion_before": version, "champion_after": version}
            reason = f"nothing new since night {same.logical_date}: same rows, settings and code"
            self.facts |= {"outcome": "skipped", "reason": f"{reason}; --force runs it anyway"}
        return same is not None

    def _data(self) -> None:
        """From the source to encoded rows; a refused batch leaves `prepared` empty."""
        pipeline, day = self.pipeline, self.day
        with self._timed("start"):
            begin(pipeline, day, self.lease)
            self.facts["run_id"] = start_run(pipeline, day)
            self.lease.note(run_id=self.facts["run_id"])
        with self._timed("ingest"):
            self.snapshot = snapshot = self.kept.ingested()
            self.facts["data_digest"] = snapshot.digest
        watched = pipeline.contract.max_age_hours is not None  # nothing new may be a breach
        if not watched and self._nothing_new(snapshot):
            return
        with self._timed("validate"):
            self.validated = self.kept.validated(snapshot)
        if not self.validated.accepted or self.validated.clean is None:
            self._refused(self.validated.reason)
            return
        if watched and self._nothing_new(snapshot):
            return
        with self._timed("probation"):
            clean, ours = self.validated.clean, self.lease.check
            self.facts["probation"] = undergo(pipeline, day, clean, still_ours=ours)
        with self._timed("prepare"):
            self.prepared = self.kept.prepared(self.validated.clean)
            self.facts["test_digest"] = self.prepared.test_digest

    def _models(self, snapshot: Snapshot, prepared: Prepared) -> None:
        """From encoded rows to a verdict, and to Production when the verdict allows it."""
        pipeline, facts = self.pipeline, self.facts
        if pipeline.tune.minutes:
            with self._timed("tune"):
                tuned = self.kept.tuned(prepared)
            self._take(tuned)
            pipeline = self.pipeline
        with self._timed("train"):
            trained = train(pipeline, prepared, fresh=self.force)
            facts["candidates"] = trained
        with self._timed("evaluate"):
            seen = seen_by(open_promotions(pipeline), self.day)
            champion = self.kept.champion(prepared, seen.champion)
            self.evaluation = evaluation = self.kept.evaluated(prepared, trained, champion)
            facts["champion_before"] = champion.version if champion else None
            facts["champion_after"] = facts["champion_before"]
            facts["challenger"] = evaluation.challenger
        with self._timed("register"):
            facts["run_id"] = settle_run(pipeline, facts["run_id"])
            log_candidates(pipeline, facts["run_id"], snapshot, prepared, trained, evaluation)
            if facts.get("tuned"):
                log_trials(pipeline, facts["run_id"], facts["tuned"], self.day)
            registered = self.kept.registered(prepared, trained, evaluation, facts["run_id"])
            facts |= {"version": registered.version, "stage": "Staging"}
            self.lease.note(registered=registered.version)
        with self._timed("decide"):
            wear = seen.looks.wear(prepared.test_digest, prepared.test_sketch)
            live = shadow_findings.beside(
                self.storage, pipeline.name, registered.version, seen.champion
            )
            asked = (pipeline, prepared, trained, evaluation, champion, registered)
            verdict = decide(*asked, wear=wear, shadow=live)
            facts["verdict"] = verdict
            self.lease.check()
            failpoint("before_promote")
            facts |= self._concluded(
                snapshot, prepared, evaluation, registered, seen.champion, verdict
            )
            failpoint("after_promote")
        facts |= evaluation.in_production(promoted=facts["outcome"] == "promoted")

    def _take(self, tuned: Tuned) -> None:
        """Go on with what a search found as a candidate among others."""
        self.lease.check()
        if tuned.logical_date == self.day.isoformat():
            past.save(self.pipeline.name, tuned, self.storage)
        self.facts["tuned"] = tuned
        self.pipeline = beside(self.pipeline, tuned.candidate)
        self.kept = KeptSteps(self.pipeline, self.day, fresh=self.force)

    def _concluded(
        self,
        snapshot: Snapshot,
        prepared: Prepared,
        evaluation: Evaluation,
        registered: Registered,
        expected: Champion | None,
        verdict: Verdict,
    ) -> dict[str, Any]:
        """What the ledger says of the challenger, as fields of the night's record."""
        rests_on = facts_of(
            self.pipeline,
            self.day,
            evaluation,
            verdict,
            data_digest=snapshot.digest,
            test_sketch=prepared.test_sketch,
            run_id=self.facts["run_id"],
        )
        asked = (self.pipeline, self.day, registered, expected, verdict, rests_on)
        return conclude(*asked, still_ours=self.lease.check)

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
        self.lease.check()
        began = time.perf_counter()
        logger.info("%s ...", step)
        try:
            yield
        finally:
            self.seconds[step] = time.perf_counter() - began
            logger.info("%s done in %.1f s", step, self.seconds[step])
        failpoint(f"after_{step}")
