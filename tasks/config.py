"""Pipelines as typed configuration: one YAML file in `conf/`, one frozen `Pipeline`.

Everything here says *what* to compute, so it is logged whole with every night. *Where* to
run comes from the environment (`infra.settings`) and never changes a number.

Errors:
    ConfigError (ValueError): what does not fit, naming file, key, value and what to do.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from tasks.columns_config import Columns
from tasks.contract_config import Contract
from tasks.frozen import Choice, Frozen, Share
from tasks.misfits import unknown
from tasks.monitoring_config import Monitoring
from tasks.probation_config import Probation
from tasks.retention_config import Retention
from tasks.scoring_config import Scoring
from tasks.serving_config import Serving
from tasks.tuning_config import TUNED, Tuning

__all__ = ["Choice", "Columns", "ConfigError", "Frozen", "Pipeline", "Share", "resolve"]

Kind = Literal["text", "numeric"]
Entry = TypeVar("Entry")
Metric = Literal["macro_f1", "accuracy", "balanced_accuracy", "weighted_f1", "mcc"]


class ConfigError(ValueError):
    """A pipeline file or an option in it that does not fit; the message says what to do."""


class Source(Frozen):
    """Where the rows come from."""

    reader: Choice = Field(description="csv, parquet, jsonl, sql or synthetic, with its options.")
    labels: Choice | None = Field(
        None, description="Second table with id and label, for series stored one row a step."
    )
    unlabelled: Choice | None = Field(None, description="Text without labels, for pretraining.")


class Preprocessing(Frozen):
    """From a raw row to model input; saved in the bundle and used again when serving."""

    cleaning: tuple[Choice, ...] = Field(
        ("lowercase", "links", "user_names", "numbers"),
        validate_default=True,
        description="Text cleaning steps, in order.",
    )
    tokenizer: Choice = Field(
        "word", validate_default=True, description="word, subword or word_ngrams."
    )
    vectors: int = Field(
        0,
        ge=0,
        le=1_000,
        description="Width of word vectors learnt without labels, from train rows and "
        "source.unlabelled; 0: none.",
    )
    scaling: Choice = Field("standard", validate_default=True, description="Of numeric channels.")
    max_length: int = Field(128, ge=1, description="Inputs are cut to this many tokens or steps.")


class Split(Frozen):
    """Which rows train, which choose, which judge."""

    by: Literal["hash", "time", "column"] = Field(
        "hash", description="Stable hash of group or id, time order, or the split column."
    )
    validation: Share = Field(0.15, description="Share of rows that choose between candidates.")
    test: Share = Field(0.2, description="Share of rows that judge the challenger.")
    near_duplicates: Share = Field(
        0.8, description="Similarity at which a train row counts as a copy of a test row; 1: exact."
    )

    @model_validator(mode="after")
    def _leaves_rows(self) -> Split:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test leave under 10 % of the rows for training")
        return self


class Training(Frozen):
    """How a candidate is fitted."""

    optimizer: Literal["adam", "adamw"] = Field("adamw", description="Optimiser.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled weight decay (adamw only).")
    schedule: Literal["cosine", "plateau", "constant"] = Field(
        "cosine", description="Learning rate: warm-up then cosine, halved on a plateau, constant."
    )
    warmup: Share = Field(0.1, description="Share of the updates spent warming up.")
    batch_size: int = Field(128, ge=1, description="Rows in a batch.")
    epochs: int = Field(20, ge=1, description="Most passes over the training rows.")
    min_updates: int = Field(
        600, ge=0, description="Epochs are raised until this many updates fit: small sets need it."
    )
    patience: int = Field(4, ge=1, description="Passes without a better validation score.")
    clip_norm: float = Field(1.0, gt=0, description="Largest global norm of the gradient.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Mass moved to other classes.")
    weight_averaging: float = Field(
        0.0, ge=0, lt=1, description="Momentum of the mean of the weights that is judged; 0: off."
    )
    calibrate: bool = Field(
        default=True, description="Probabilities at the temperature that suits the validation rows."
    )


ENSEMBLE = "ensemble"  # in the place of an architecture: the mean of other candidates
DISTILLED = "distilled"  # one model that learns what the others answer
COMBINING = (ENSEMBLE, DISTILLED)  # they come after the others


class Candidate(Frozen):
    """One model to train tonight: architecture × resampling strategy × hyperparameters."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Unique in the pipeline.")
    architecture: Choice = Field(
        description="Entry of ARCHITECTURES, or `ensemble`: the mean of others that answer best, "
        "or `distilled`: one model that learns from them."
    )
    resampling: Choice = Field("none", validate_default=True, description="Entry of STRATEGIES.")
    training: dict[str, Any] = Field(
        default_factory=dict, description="Overrides of the pipeline's `training`."
    )


class Evaluation(Frozen):
    """How models are measured and compared."""

    metric: Metric = Field("macro_f1", description="Chooses the challenger and feeds the gate.")
    slices: tuple[str, ...] = Field((), description="Columns whose values get their own metrics.")
    bootstrap_samples: int = Field(1_000, ge=100, description="Resamples behind each interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of the intervals.")


class Policy(Frozen):
    """What is done about a verdict, and about changes that went past Nocturne."""

    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Chance that a set of test rows ever lets luck pass."
    )
    worn_after: int = Field(30, ge=1, description="Looks after which a test row is worn.")
    worn: Literal["keep", "warn"] = Field(
        "keep", description="A worn set: the champion stays, or it judges on and says so."
    )
    fresher: Literal["keep", "promote"] = Field(
        "keep", description="A challenger that is not worse, and newer."
    )
    not_worse: float = Field(0.01, gt=0, lt=1, description="The loss that `not worse` excludes.")
    new_classes: Literal["judge", "keep", "promote"] = Field(
        "judge", description="Classes the champion lacks: judge by the others, or keep, or promote."
    )
    vanished_classes: Literal["judge", "keep"] = Field(
        "keep", description="Classes that only the champion knows: judge by the others, or keep."
    )
    approval: Literal["none", "required"] = Field(
        "none", description="required: what passes its gates waits for `nocturne approve`."
    )
    on_hand_change: Literal["revert", "adopt"] = Field(
        "revert", description="A stage or alias that was moved by hand in MLflow's page."
    )
    probation: Probation = Field(
        Probation(), description="A new champion is judged again by the labels that come after."
    )


class Schedule(Frozen):
    """When the night runs by itself."""

    cron: str = Field("0 2 * * *", description="Five fields: minute hour day month weekday.")
    timezone: str = Field("UTC", description="IANA name; UTC has no daylight saving.")
    max_late_hours: float | None = Field(
        None, gt=0, description="A night that begins later than this is skipped."
    )
    max_champion_age_days: float | None = Field(
        None, gt=0, description="A champion trained longer ago is warned of."
    )


DEFAULT_GATES = (
    *("finite", "not_collapsed", "beats_majority", "beats_floor", "calibrated", "fast_enough"),
    *("golden_rows", "artifact_intact", "same_rows", "recall_holds", "slices_hold"),
    *("shadow", "beats_champion"),
)


class Pipeline(Frozen):
    """One classification problem, whole."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$", description="Also the model's name.")
    description: str = Field("", description="One sentence for people.")
    source: Source = Field(description="Where the rows come from.")
    columns: Columns = Field(description="Which column plays which part.")
    contract: Contract = Field(Contract(), description="What the data must be.")
    preprocessing: Preprocessing = Field(
        Preprocessing(), description="From a raw row to model input."
    )
    split: Split = Field(Split(), description="Train, validation and test rows.")
    training: Training = Field(Training(), description="How candidates are fitted.")
    candidates: tuple[Candidate, ...] = Field(min_length=1, description="Trained each night.")
    tune: Tuning = Field(Tuning(), description="A search for better settings.")
    folds: int = Field(0, ge=0, le=20, description="k of k-fold cross-validation; 0: none.")
    fold_repeats: int = Field(
        1,
        ge=1,
        le=20,
        description="Times that the rows are cut into folds anew; each row is then answered for by "
        "so many models that had not seen it.",
    )
    fold_ensemble: bool = Field(
        default=False,
        description="Each candidate is the mean of its fold models, which learn from train and "
        "validation rows in turn, and what is solved for from all; false: folds only measure.",
    )
    evaluation: Evaluation = Field(Evaluation(), description="How they are judged.")
    gates: tuple[Choice, ...] = Field(
        DEFAULT_GATES, validate_default=True, description="All must pass for a promotion."
    )
    policy: Policy = Field(Policy(), description="What is done about a verdict.")
    schedule: Schedule = Field(Schedule(), description="When the night runs.")
    serving: Serving = Field(Serving(), description="How live scoring answers and is watched.")
    scoring: Scoring = Field(Scoring(), description="Production over a batch, by itself.")
    monitoring: Monitoring = Field(
        Monitoring(), description="Live inputs against what the model was tested on."
    )
    retention: Retention = Field(Retention(), description="What `nocturne gc` leaves.")
    seed: int = Field(17, ge=0, le=2**31 - 1, description="Seed of everything drawn at random.")

    @property
    def kind(self) -> Kind:
        """`text` or `numeric`, by the input column that is named."""
        return "text" if self.columns.text else "numeric"

    @property
    def budget(self) -> float | None:
        """Milliseconds that one row alone may take; None where `fast_enough` is told none.

        Raises:
            ConfigError: what it is told is no number above 0.
        """
        options = next((g.options for g in self.gates if g.name == "fast_enough"), {})
        told = options.get("milliseconds")
        if told is None or (type(told) in (int, float) and told > 0):
            return told
        raise ConfigError(
            f"gate 'fast_enough': milliseconds must be a number above 0, got {told!r}; it is what "
            "one row alone may take"
        )

    @model_validator(mode="after")
    def _consistent(self) -> Pipeline:
        names = [candidate.name for candidate in self.candidates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"candidate names must differ; used twice: {', '.join(twice)}")
        if self.folds == 1:
            raise ValueError("folds: 1 is no cross-validation; use 0 (off) or at least 2")
        if self.fold_ensemble and not self.folds:
            raise ValueError("fold_ensemble: true needs folds, at least 2")
        if self.fold_repeats > 1 and not self.folds:
            raise ValueError("fold_repeats: more than 1 needs folds, at least 2")
        if self.preprocessing.vectors and not self.columns.text:
            raise ValueError("preprocessing.vectors: word vectors are of text; use 0 for series")
        if self.split.by == "column" and not self.columns.split:
            raise ValueError("split.by: column needs columns.split, the column to read it from")
        if self.split.by == "time" and not self.columns.time:
            raise ValueError("split.by: time needs columns.time, the column to order by")
        for candidate in self.candidates:
            self.training_of(candidate)
            if candidate.architecture.name == DISTILLED and not self.fold_ensemble:
                raise ValueError(
                    f"candidate {candidate.name!r}: {DISTILLED} learns from the others' fold "
                    "models; set folds, at least 2, and fold_ensemble: true, or leave it out"
                )
        return self

    def training_of(self, candidate: Candidate) -> Training:
        """The pipeline's training settings with the candidate's overrides applied."""
        return Training.model_validate({**self.training.model_dump(), **candidate.training})

    def only(self, names: Iterable[str]) -> Pipeline:
        """The same pipeline with only the named candidates.

        Raises:
            ConfigError: a name that no candidate has.
        """
        wanted = tuple(names)
        known = {candidate.name: candidate for candidate in self.candidates}
        searched = (TUNED,) if self.tune.minutes else ()
        for name in wanted:
            if name not in (*known, *searched):
                raise ConfigError(unknown("candidate", name, (*known, *searched)))
        left = tuple(known[name] for name in wanted if name in known)
        if not left:
            raise ConfigError(f"{TUNED}: a search begins with another candidate; name one beside")
        tune = self.tune if TUNED in wanted else Tuning()
        return self.model_copy(update={"candidates": left, "tune": tune})


def resolve(
    table: Mapping[str, Callable[..., Entry]], choice: Choice, what: str
) -> Callable[..., Entry]:
    """The table's entry with the choice's options bound.

    Args:
        table: Name to callable; the options are its keyword-only parameters.
        choice: The name and options asked for.
        what: What the table holds, for messages ("architecture").

    Raises:
        ConfigError: an unknown name or option, with the nearest right one.
    """
    if choice.name not in table:
        raise ConfigError(unknown(what, choice.name, table))
    entry = table[choice.name]
    parameters = inspect.signature(entry).parameters.values()
    options = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in choice.options:
        if name not in options:
            raise ConfigError(f"{what} {choice.name!r}: " + unknown("option", name, options))
    return functools.partial(entry, **choice.options)
