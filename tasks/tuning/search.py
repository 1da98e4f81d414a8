"""A search: Optuna draws settings, processes try them, what falls behind is ended early.

Settings are drawn by tree-structured Parzen estimators (Bergstra et al. 2011) over all of them
together; asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934) lets
a third of the trials go on from fold to fold, or to three times the epochs. All trials are kept
in a journal, so that a search that was killed goes on with what it knows.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from tasks import progress
from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Candidate, Pipeline
from tasks.references import Trained
from tasks.tuned import Trial, Tuned
from tasks.tuning.space import Space, distinct, own, settings_of

logger = logging.getLogger(__name__)

STARTUP = 8  # trials drawn at random before the estimators are asked
REDUCTION = 3
OTHER_FOLDS = 1_000_003  # added to the seed: the winner is not judged by the folds that chose it
HOPELESS = 5  # failures in a row
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}


class Search:
    """One night's search of one pipeline.

    Args:
        pipeline: Its candidates are tried first, after earlier winners.
        template: Job of any candidate: rows, classes, folds, metric, threads.
        earlier: Winners of earlier nights, the best first.
        skewed: Whether balancing is worth trying.
        folder: For the journal and the trials' files; a search goes on with what lies there.
        day: The night's logical date.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        template: Job,
        earlier: Iterable[Candidate],
        *,
        skewed: bool,
        folder: Path,
        day: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        known = list(earlier)
        self._pipeline = pipeline
        self._space = Space.of(pipeline, known, skewed=skewed)
        self._template = template
        self._folder = folder
        self._day = day
        self._clock = clock
        kept = self._space.kept
        self._own = distinct(settings_of(pipeline, each, kept) for each in own(pipeline))
        self._study = self._opened()
        self._spent = self._taken_over()
        first = distinct([*(settings_of(pipeline, each, kept) for each in known), *self._own])
        for settings in first:
            self._study.enqueue_trial(settings, skip_if_exists=True)
        self._began = clock()
        self._running: dict[str, tuple[optuna.Trial, float]] = {}
        self._pruned: set[str] = set()
        self._failures = 0

    def run(self, workers: int) -> Tuned:
        """Try settings until the time is up or as many were tried as may be."""
        run_all(self._jobs(), workers=workers, on_end=self._ended, on_value=self._heard)
        found = self._found()
        logger.info("search: %s", found.reason)
        return found

    def _opened(self) -> optuna.Study:
        from optuna.storages.journal import JournalFileBackend

        self._folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        epochs = self._template.training.epochs
        journal = JournalFileBackend(str(self._folder / "journal.log"))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(journal),
            study_name=self._pipeline.name,
            load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.SuccessiveHalvingPruner(
                min_resource=1 if self._template.folds else -(-epochs // 4),
                reduction_factor=REDUCTION,
            ),
        )
        known = len(study.get_trials(deepcopy=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=STARTUP,
                seed=self._pipeline.seed + known,  # one that goes on does not draw the same again
                multivariate=True,
                group=True,
            )
        return study

    def _taken_over(self) -> float:
        """Seconds that an earlier process spent; what it had under way is tried again."""
        seconds = 0.0
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params)
            elif "seconds" in trial.user_attrs:
                seconds += trial.user_attrs["seconds"] / trial.user_attrs["beside"]
        if seconds:
            logger.info("search: goes on after %.1f minutes", seconds / 60)
        return seconds

    def _seconds(self) -> float:
        return self._spent + self._clock() - self._began

    def _over(self) -> bool:
        return self._seconds() >= 60 * self._pipeline.tune.minutes

    def _jobs(self) -> Iterator[Job]:
        """A trial whenever a process is free, while there is time."""
        most = self._pipeline.tune.trials
        while not self._over() and self._failures < HOPELESS:
            if most is not None and self._tried() >= most:
                return
            trial = self._study.ask()
            candidate = self._space.draw(trial)
            trial.set_user_attr("candidate", candidate.model_dump(mode="json"))
            job = self._job(trial.number, candidate)
            self._running[job.name] = (trial, self._clock())
            yield job

    def _tried(self) -> int:
        over = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return len(self._study.get_trials(deepcopy=False, states=over))

    def _job(self, number: int, candidate: Candidate) -> Job:
        name = f"trial-{number}"
        return self._template.model_copy(
            update={
                "name": name,
                "out": str(self._folder / name),
                "architecture": candidate.architecture,
                "resampling": candidate.resampling,
                "training": self._pipeline.training_of(candidate),
                "seed": self._pipeline.seed + OTHER_FOLDS,
                "trial": True,
                "key": "",
            }
        )

    def _heard(self, job: Job, step: int, value: float) -> bool:
        """Whether a trial should end: it fell behind, or the time is up.

        The pipeline's own settings are measured whole, for the winner is held against them.
        """
        trial, _ = self._running[job.name]
        if step:
            trial.report(value, step)
            if trial.params not in self._own and trial.should_prune():
                self._pruned.add(job.name)
        return job.name in self._pruned or self._over()

    def _ended(self, job: Job, trained: Trained) -> None:
        trial, begun = self._running.pop(job.name)
        trial.set_user_attr("beside", len(self._running) + 1)
        trial.set_user_attr("seconds", self._clock() - begun)
        if trained.failed is None:
            self._failures = 0
            self._study.tell(trial, trained.validation[job.metric])
        elif job.name in self._pruned:
            self._failures = 0
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._failures += not self._over()
            trial.set_user_attr("why", "the time was up" if self._over() else trained.failed)
            self._study.tell(trial, state=TrialState.FAIL)
        shutil.rmtree(job.out, ignore_errors=True)
        total = round(60 * self._pipeline.tune.minutes)
        progress.report("search", min(round(self._seconds()), total), total, self._note())

    def _note(self) -> str:
        tried = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = max((trial.value or 0.0 for trial in tried), default=None)
        said = "" if best is None else f", best {self._template.metric} {best:.3f}"
        return f"{self._tried()} tried{said}"

    def _found(self) -> Tuned:
        trials = tuple(
            _told(trial)
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state.is_finished() and "candidate" in trial.user_attrs
        )
        found = Tuned(
            logical_date=self._day, metric=self._template.metric, reason="", trials=trials
        )
        best = next(iter(found.best(1)), None)
        if best is None:
            why = next((t.why for t in trials if t.why), "there was no time for one")
            return found.model_copy(update={"reason": f"no trial ended: {why}"})
        mine = [t for t in found.best(len(trials)) if self._is_own(t)]
        value = mine[0].value if mine else None
        winner = None if best in mine else best.candidate
        reason = self._reason(found, best, value, won=winner is not None)
        return found.model_copy(
            update={"candidate": winner, "value": best.value, "own": value, "reason": reason}
        )

    def _is_own(self, trial: Trial) -> bool:
        return trial.settings in self._own

    def _reason(self, found: Tuned, best: Trial, own_value: float | None, *, won: bool) -> str:
        ended = sum(trial.state == "pruned" for trial in found.trials)
        whole = len(found.best(len(found.trials)))
        counted = f"{whole + ended} settings tried, {ended} of them ended early"
        if not won:
            return f"{counted}; none better than the pipeline's own, {best.value:.3f}"
        beside = "" if own_value is None else f", the pipeline's own {own_value:.3f}"
        return f"{counted}; best {found.metric} on held-out train rows {best.value:.3f}{beside}"


def _told(trial: optuna.trial.FrozenTrial) -> Trial:
    attributes: dict[str, Any] = trial.user_attrs
    return Trial(
        number=trial.number,
        settings=json.loads(json.dumps(trial.params)),
        candidate=attributes["candidate"],
        state=STATES.get(trial.state, "failed"),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        seconds=round(attributes.get("seconds", 0.0), 1),
        why=attributes.get("why"),
    )
