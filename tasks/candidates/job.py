"""What a candidate's process is told: everything, in one frozen object of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from tasks.config import COMBINING, DISTILLED, Choice, Metric, Training
from tasks.ragged import InputSpec
from tasks.references import Reference, Trained
from tasks.steps import digest_of

FOLDS, RESUME = "folds", "resume"  # folders of a candidate


class Job(Reference):
    """One candidate to train."""

    name: str = Field(description="Of the candidate.")
    prepared: str = Field(description="Folder with train/, validation/ and test/.")
    out: str = Field(description="Folder that will hold the model and all about it.")
    architecture: Choice = Field(description="Entry of ARCHITECTURES.")
    resampling: Choice = Field(description="Entry of STRATEGIES.")
    training: Training = Field(description="With the candidate's overrides applied.")
    classes: tuple[str, ...] = Field(description="Names, in the order of the labels.")
    spec: InputSpec = Field(description="What the rows were encoded to.")
    folds: int = Field(0, ge=0, description="k of k-fold cross-validation before the fit; 0: none.")
    fold_repeats: int = Field(1, ge=1, description="Times that rows are cut into folds.")
    fold_ensemble: bool = Field(
        default=False, description="The fold models together are the candidate."
    )
    fold: int = Field(0, ge=0, description="The only fold to fit, for its candidate; 0: all.")
    metric: Metric = Field("macro_f1", description="Says which epoch is best.")
    seed: int = Field(description="Of weights, order, dropout, resampling and folds.")
    threads: int = Field(1, ge=1, description="Of the candidate's process.")
    rows: str = Field(
        "", description="sha256 over the encoded rows, and what else answers follow from."
    )
    key: str = Field("", description="Of the question it answers; the same one may be resumed.")
    trial: bool = Field(
        default=False, description="Only measured, on train rows, in a search for settings."
    )
    members: tuple[str, ...] = Field(
        (), description="Folders of the candidates that may be combined, or teach."
    )

    @property
    def combines(self) -> bool:
        """Whether it is made of what others answered, which come first."""
        return self.architecture.name in COMBINING

    @property
    def distils(self) -> bool:
        """Whether it learns from the others."""
        return self.architecture.name == DISTILLED

    @property
    def folds_in_all(self) -> int:
        """Models that cross-validation fits, over all its repeats."""
        return self.folds * self.fold_repeats

    def apart(self) -> list[Job]:
        """A job for each fold; once they ended, the candidate finds its folds done."""
        return [
            self.model_copy(
                update={
                    "name": f"{self.name}, fold {number}",
                    "out": str(Path(self.out) / FOLDS / str(number)),
                    "fold": number,
                }
            )
            for number in range(1, self.folds_in_all + 1)
            if not self.combines or (self.distils and len(self.members) > 1)
        ]

    def whole(self) -> Job:
        """The candidate whose fold this job is; see `apart`."""
        out = Path(self.out).parents[1]
        return self.model_copy(update={"name": out.name, "out": str(out), "fold": 0})

    def after(self, others: Iterable[tuple[Job, Trained]]) -> Job:
        """The same job once the others are known; those that failed are not among its members.

        Its answers follow from rows and settings of the others too, by their keys.
        """
        sound = [(job, trained) for job, trained in others if trained.failed is None]
        asked = digest_of([self.key, *(job.key for job, _ in sound)])
        members = tuple(trained.directory for _, trained in sound)
        return self.model_copy(update={"members": members, "rows": asked, "key": asked})
