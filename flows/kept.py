"""The steps of a night whose answers are kept, each with the question it answers."""

# no `from __future__ import annotations`: imported by a flow module
import shutil
from datetime import date
from pathlib import Path

from infra.settings import Settings
from infra.storage import open_storage
from model_registry.state import Champion
from tasks import nights, questions, reference_rows
from tasks.config import Pipeline
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.prepare import prepare
from tasks.references import (
    Against,
    ChampionScores,
    Evaluation,
    Prepared,
    Registered,
    Snapshot,
    Trained,
    Validated,
)
from tasks.register import register, score_champion
from tasks.steps import Steps, digest_of
from tasks.tune import tune
from tasks.tuned import Tuned
from tasks.tuning import past
from tasks.validate import validate


class KeptSteps:
    """A night's steps: taken from the run before where it asked the same, else computed.

    Args:
        pipeline: What to compute.
        day: The night.
        fresh: Compute every step.
    """

    def __init__(self, pipeline: Pipeline, day: date, *, fresh: bool) -> None:
        settings = Settings()
        self.pipeline = pipeline
        self.day = day
        self.storage = open_storage(settings)
        self.steps = Steps(settings.work / pipeline.name / "steps", self.storage, fresh=fresh)

    def forget(self, *steps: str) -> None:
        """Have the next run compute these."""
        self.steps.forget(*steps)

    def ingested(self) -> Snapshot:
        """The rows of the source: a rerun goes on with those that the night began with."""
        return self.steps.once(
            "ingest",
            Snapshot,
            questions.of_ingest(self.pipeline, self.day),
            lambda: ingest(self.pipeline, self.day),
            keys=lambda taken: [taken.key],
        )

    def validated(self, snapshot: Snapshot) -> Validated:
        """What the contract says of it."""
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

    def prepared(self, clean: Snapshot) -> Prepared:
        """The rows, encoded."""
        return self.steps.once(
            "prepare",
            Prepared,
            questions.of_prepare(self.pipeline, clean),
            lambda: prepare(self.pipeline, clean),
            files=lambda made: [Path(made.directory)],
        )

    def tuned(self, prepared: Prepared) -> Tuned:
        """What a search for settings found."""
        before = past.newest(self.pipeline.name, self.day, self.storage)
        question = questions.of_tune(self.pipeline, prepared, before)
        folder = self.steps.folder.parent / "tuning" / digest_of(question)[:16]
        if self.steps.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        return self.steps.once(
            "tune",
            Tuned,
            question,
            lambda: tune(self.pipeline, prepared, self.day, before, folder=folder),
        )

    def champion(self, prepared: Prepared, expected: Champion | None) -> ChampionScores | None:
        """The answers of whom the night is judged against, by the ledger."""
        return self.steps.once(
            "champion",
            Against,
            questions.of_champion(expected.digest if expected else None, prepared),
            lambda: Against(champion=score_champion(self.pipeline, prepared, expected)),
            files=lambda said: [Path(said.champion.probabilities)] if said.champion else [],
        ).champion

    def evaluated(
        self, prepared: Prepared, trained: tuple[Trained, ...], champion: ChampionScores | None
    ) -> Evaluation:
        """All models on the same rows."""
        rows = champion.probabilities if champion else None
        return self.steps.once(
            "evaluate",
            Evaluation,
            questions.of_evaluate(self.pipeline, prepared, trained, champion),
            lambda: evaluate(self.pipeline, prepared, trained, rows),
            files=lambda said: [Path(said.directory)],
        )

    def registered(
        self,
        prepared: Prepared,
        trained: tuple[Trained, ...],
        evaluation: Evaluation,
        run_id: str,
    ) -> Registered:
        """The challenger as a version."""
        pipeline, day = self.pipeline, self.day
        return self.steps.once(
            "register",
            Registered,
            questions.of_register(pipeline, prepared, trained, evaluation, day),
            lambda: register(pipeline, prepared, trained, evaluation, run_id, day),
            keys=lambda made: [reference_rows.key(made.model, made.version)],
        )
