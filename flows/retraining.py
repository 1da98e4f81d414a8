"""The night: from the source to a verdict, and to Production when the verdict allows it."""

# no `from __future__ import annotations`: Prefect reads the real types when a schedule runs it
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.promotion import begin, conclude
from flows.reaping import reap
from flows.stopping import NightStopped, stoppable
from infra.failpoints import failpoint
from infra.settings import Settings
from infra.storage import open_storage
from model_registry.errors import RegistryUnreachable
from model_registry.state import Champion
from tasks import nights, questions
from tasks.choices import check
from tasks.config import Pipeline
from tasks.datasets.errors import DataError
from tasks.decide import decide
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.lease import Lease, LeaseLost, holding
from tasks.notify import notify
from tasks.prepare import prepare
from tasks.promotions import open_promotions, seen_by
from tasks.provenance import facts_of
from tasks.references import (
    Against,
    ChampionScores,
    Evaluation,
    Night,
    Prepared,
    Registered,
    Snapshot,
    Trained,
    Validated,
    Verdict,
)
from tasks.register import register, score_champion
from tasks.report import report
from tasks.steps import Steps
from tasks.track import finish_run, log_candidates, settle_run, start_run
from tasks.train import train
from tasks.validate import validate

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
        logical_date: The day whose night this is; today in UTC, or the day it was scheduled for.
        force: Run it whatever is known already, and compute every step anew.

    Returns:
        The record of the night: promoted, kept or skipped.

    Raises:
        NightFailed: the contract refused the data, or a step broke; recorded before it is raised.
        ConfigError: the pipeline names something that is in no table.
        NightRunning: another night of this pipeline is under way.
        LeaseLost: this process was given up for dead, and another took the night over.
    """
    check(pipeline)
    settings = Settings()
    storage = open_storage(settings)
    day = logical_date or _scheduled_day()
    with holding(pipeline.name, day, storage, flow_run_id=flow_run.id) as lease, stoppable():
        reap(pipeline.name, settings, storage, own=lease.held)
        finished = None if force else nights.load(pipeline.name, day, storage)
        if finished is not None and finished.outcome != "failed":
            logger.info("night %s is finished: %s; nothing to do", day, finished.reason)
            return finished
        night = _Steps(pipeline, day, lease, force=force).run()
        lease.check()
        nights.save(night, storage)
        failpoint("after_save")
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

    def __init__(self, pipeline: Pipeline, day: date, lease: Lease, *, force: bool) -> None:
        settings = Settings()
        self.pipeline = pipeline
        self.day = day
        self.lease = lease
        self.force = force
        self.storage = open_storage(settings)
        self.work = settings.work / pipeline.name
        self.steps = Steps(self.work / "steps", self.storage, fresh=force)
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
        except LeaseLost:
            raise
        except DataError as error:
            self._refused(str(error))
        except (NightStopped, KeyboardInterrupt) as stop:
            self._stopped(stop)
            raise
        except Exception as error:
            logger.debug("night %s broke", self.day, exc_info=True)
            self.facts |= {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
            if not isinstance(error, RegistryUnreachable):
                self.steps.forget("champion", "register")  # they may be why
        self._report()
        night = self._night()
        finish_run(night)
        return night

    def _refused(self, reason: str) -> None:
        """The data are at fault: the next run reads the source again."""
        self.facts |= {"reason": reason, "refused_by": "contract"}
        self.steps.forget("ingest")

    def _stopped(self, stop: BaseException) -> None:
        """Somebody ended the process: say what is kept, leave nothing running."""
        from tasks.training.epochs import resumable

        kept = resumable(self.work / "candidates").items()
        where = ", ".join(f"{name} resumable from epoch {epoch}" for name, epoch in kept)
        reason = f"stopped by {stop or 'the keyboard'}; {where or 'finished steps are kept'}"
        self.facts |= {"outcome": "failed", "reason": f"{reason}; run it again to go on"}
        night = self._night()
        logger.error("night %s: %s", self.day, night.reason)
        nights.save(night, self.storage)
        finish_run.fn(night, "KILLED")

    def _data(self) -> None:
        """From the source to encoded rows; a refused batch leaves `prepared` empty."""
        pipeline, day = self.pipeline, self.day
        with self._timed("start"):
            begin(pipeline, day)
            self.facts["run_id"] = start_run(pipeline, day)
            self.lease.note(run_id=self.facts["run_id"])
        with self._timed("ingest"):
            asked = questions.of_ingest(pipeline, day)
            self.snapshot = snapshot = self.steps.once(
                "ingest", Snapshot, asked, lambda: ingest(pipeline, day), keys=lambda s: [s.key]
            )
            self.facts["data_digest"] = snapshot.digest
        with self._timed("validate"):
            self.validated = self._validated(snapshot)
        if not self.validated.accepted or self.validated.clean is None:
            self._refused(self.validated.reason)
            return
        with self._timed("prepare"):
            self.prepared = self._prepared(self.validated.clean)
            self.facts["test_digest"] = self.prepared.test_digest

    def _validated(self, snapshot: Snapshot) -> Validated:
        pipeline, day = self.pipeline, self.day
        return self.steps.once(
            "validate",
            Validated,
            questions.of_validate(
                pipeline, snapshot, day, nights.before(pipeline.name, day, self.storage)
            ),
            lambda: validate(pipeline, snapshot, day),
            files=lambda said: [Path(said.data_docs)] if said.data_docs else [],
            keys=lambda said: [said.clean.key] if said.clean else [],
        )

    def _prepared(self, clean: Snapshot) -> Prepared:
        return self.steps.once(
            "prepare",
            Prepared,
            questions.of_prepare(self.pipeline, clean),
            lambda: prepare(self.pipeline, clean),
            files=lambda made: [Path(made.directory)],
        )

    def _models(self, snapshot: Snapshot, prepared: Prepared) -> None:
        """From encoded rows to a verdict, and to Production when the verdict allows it."""
        pipeline, facts = self.pipeline, self.facts
        with self._timed("train"):
            trained = train(pipeline, prepared, fresh=self.force)
            facts["candidates"] = trained
        with self._timed("evaluate"):
            seen = seen_by(open_promotions(pipeline), self.day)
            champion = self._champion(prepared, seen.champion)
            self.evaluation = evaluation = self._evaluated(prepared, trained, champion)
            facts["champion_before"] = champion.version if champion else None
            facts["champion_after"] = facts["champion_before"]
            facts["challenger"] = evaluation.challenger
        with self._timed("register"):
            facts["run_id"] = settle_run(pipeline, facts["run_id"])
            log_candidates(pipeline, facts["run_id"], snapshot, prepared, trained, evaluation)
            registered = self._registered(prepared, trained, evaluation)
            facts |= {"version": registered.version, "stage": "Staging"}
        with self._timed("decide"):
            looks = seen.looks.get(prepared.test_digest, 0)
            verdict = decide(
                pipeline, prepared, trained, evaluation, champion, registered, looks=looks
            )
            facts["verdict"] = verdict
            self.lease.check()
            facts |= self._concluded(snapshot, evaluation, registered, seen.champion, verdict)
            failpoint("after_promote")
        facts |= evaluation.in_production(promoted=facts["outcome"] == "promoted")

    def _champion(self, prepared: Prepared, expected: Champion | None) -> ChampionScores | None:
        """The answers of whom the night is judged against, by the ledger."""
        return self.steps.once(
            "champion",
            Against,
            questions.of_champion(expected.digest if expected else None, prepared),
            lambda: Against(champion=score_champion(self.pipeline, prepared, expected)),
            files=lambda said: [Path(said.champion.probabilities)] if said.champion else [],
        ).champion

    def _evaluated(
        self, prepared: Prepared, trained: tuple[Trained, ...], champion: ChampionScores | None
    ) -> Evaluation:
        rows = champion.probabilities if champion else None
        return self.steps.once(
            "evaluate",
            Evaluation,
            questions.of_evaluate(self.pipeline, prepared, trained, champion),
            lambda: evaluate(self.pipeline, prepared, trained, rows),
            files=lambda said: [Path(said.directory)],
        )

    def _registered(
        self, prepared: Prepared, trained: tuple[Trained, ...], evaluation: Evaluation
    ) -> Registered:
        pipeline, run_id, day = self.pipeline, self.facts["run_id"], self.day
        return self.steps.once(
            "register",
            Registered,
            questions.of_register(pipeline, prepared, trained, evaluation, day),
            lambda: register(pipeline, prepared, trained, evaluation, run_id, day),
        )

    def _concluded(
        self,
        snapshot: Snapshot,
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
            run_id=self.facts["run_id"],
        )
        return conclude(self.pipeline, self.day, registered, expected, verdict, rests_on)

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
