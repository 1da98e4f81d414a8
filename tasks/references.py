"""What stages hand each other: small frozen references, never frames or models."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.tuned import Tuned

Outcome = Literal["promoted", "kept", "skipped", "failed"]


class Reference(BaseModel):
    """Base of all references: immutable and closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Snapshot(Reference):
    """The ingested rows as content-addressed Parquet in the store."""

    key: str = Field(description="Key in the store: snapshots/PIPELINE/DIGEST.parquet.")
    digest: str = Field(description="sha256 over the canonical rows; same content, same digest.")
    rows: int
    new_rows: int = Field(description="Rows that no earlier snapshot held.")
    duplicates: int = Field(description="Exact duplicates dropped on the way in.")
    newest: str | None = Field(None, description="Time of the newest row, ISO 8601.")
    unlabelled: str | None = Field(None, description="Digest of the rows without labels.")


class Finding(Reference):
    """One expectation or check that did not hold."""

    rule: str = Field(description="What was asked, in words: 'label in [a, b, c]'.")
    severity: Literal["critical", "warning", "info"]
    rows: int = Field(description="Rows that break it; 0 for a rule about the whole table.")
    message: str = Field(description="Subject, rule, value received, what to do.")
    examples: tuple[str, ...] = Field((), description="At most five offending values or ids.")


class Validated(Reference):
    """What the contract said of a snapshot."""

    accepted: bool = Field(description="False stops the night before training.")
    reason: str = Field(description="One sentence for people.")
    clean: Snapshot | None = Field(description="The rows that passed; None where refused.")
    quarantine_key: str | None = Field(
        None, description="Bad rows and their reasons, in the store."
    )
    quarantined: int = 0
    findings: tuple[Finding, ...] = ()
    data_docs: str | None = Field(None, description="Path of the Data Docs index page.")


class Prepared(Reference):
    """Encoded train, validation and test rows, ready for candidates."""

    directory: str = Field(description="Holds preprocessor.json, train/, validation/, test/, ...")
    classes: tuple[str, ...] = Field(description="Label order, frozen from here on.")
    train_rows: int
    validation_rows: int
    test_rows: int
    near_duplicates: int = Field(description="Train rows dropped as copies of test rows.")
    test_digest: str = Field(description="sha256 over the test rows and their labels.")
    test_sketch: str = Field("", description="Which test rows: `spending.sketch_of` their inputs.")


class Trained(Reference):
    """One candidate after its own process ended."""

    name: str
    directory: str = Field(description="Holds model.keras, history.json, probabilities, ...")
    failed: str | None = Field(None, description="Why there is no model; None where there is.")
    validation: dict[str, float] = Field(default_factory=dict, description="Metrics by name.")
    test: dict[str, float] = Field(default_factory=dict, description="Metrics by name.")
    folds: tuple[dict[str, float], ...] = Field((), description="Validation metrics a fold.")
    out_of_fold: dict[str, float] = Field(
        default_factory=dict, description="Metrics on all rows that folds held out, together."
    )
    class_counts: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="Class to train rows before and after resampling."
    )
    parameters: int = 0
    epochs: int = 0
    seconds: float = 0.0


class Measured(Reference):
    """A metric and its interval."""

    value: float
    low: float
    high: float


class Scored(Reference):
    """One candidate's metrics, each with its interval."""

    name: str
    validation: dict[str, Measured]
    test: dict[str, Measured]
    chosen_by: float = Field(description="The pipeline's metric on validation rows or folds.")


class ClassScores(Reference):
    """One class as one model sees it, on the test rows."""

    name: str
    precision: float
    recall: Measured
    f1: float
    support: int


class SliceScores(Reference):
    """The models on some of the test rows."""

    by: str = Field(description="length, time, or the column.")
    value: str
    rows: int
    reliable: bool = Field(description="False: too few rows to conclude anything.")
    challenger: dict[str, Measured]
    champion: dict[str, Measured] = Field(default_factory=dict)
    difference: dict[str, Measured] = Field(default_factory=dict, description="Paired.")


class Plot(Reference):
    """A picture in the evaluation's directory, as PNG and as SVG."""

    name: str = Field(description="NAME.png and NAME.svg.")
    title: str
    alt: str = Field(description="What it shows, for who cannot see it.")


class Suspect(Reference):
    """A row whose label may be wrong, by models that had not seen it."""

    row_id: str
    given: str = Field(description="Its label.")
    suggested: str = Field(description="The likeliest class.")
    believed: float = Field(description="Probability of its label.")
    shown: str = Field(description="The beginning of the text, or how long the series is.")


class Evaluation(Reference):
    """All models measured on the same rows; the challenger chosen on validation rows only."""

    directory: str = Field(description="Holds evaluation.json, the tables and the plots.")
    metric: str = Field(description="The pipeline's; it chose the challenger.")
    challenger: str
    candidates: tuple[Scored, ...] = Field(description="Best first, by validation.")
    excluded: dict[str, str] = Field(default_factory=dict, description="Candidate to why.")
    champion: dict[str, Measured] | None = Field(None, description="Its test metrics, tonight.")
    difference: dict[str, Measured] = Field(
        default_factory=dict, description="Challenger less champion, resampled on the same rows."
    )
    classes: tuple[ClassScores, ...] = Field(description="Of the challenger.")
    champion_classes: tuple[ClassScores, ...] = ()
    slices: tuple[SliceScores, ...] = ()
    class_rows: dict[str, dict[str, int]] = Field(description="Split to class to rows.")
    test_digest: str
    suspects: tuple[Suspect, ...] = Field((), description="Labels to look at again, the first.")
    suspected: int = Field(0, description="How many there are in all.")
    plots: tuple[Plot, ...] = ()
    tables: tuple[str, ...] = Field((), description="CSV files in the directory.")
    milliseconds: dict[str, float] = Field({}, description="One row alone, of those timed.")

    @property
    def challenger_scores(self) -> Scored:
        """The challenger among the candidates."""
        return next(scored for scored in self.candidates if scored.name == self.challenger)

    def in_production(self, *, promoted: bool) -> dict[str, dict[str, float]]:
        """Test metrics and recalls of the model that serves after the night.

        Without a promotion that is the champion; with none at all, nothing serves.
        """
        metrics = self.challenger_scores.test if promoted else self.champion or {}
        classes = self.classes if promoted else self.champion_classes
        return {
            "test_metrics": {name: measured.value for name, measured in metrics.items()},
            "class_recall": {scores.name: scores.recall.value for scores in classes},
        }


class Registered(Reference):
    """The challenger as a version of the pipeline's registered model."""

    model: str
    version: str
    run_id: str
    digest: str = Field(description="sha256 of the bundle's manifest.")
    latency_milliseconds: float = Field(description="One raw row, scored alone, median.")
    golden_difference: float | None = Field(
        None, description="Golden rows: bundle in a fresh process against training."
    )
    scored_digest: str | None = Field(None, description="Of the bundle that was scored.")


class ChampionScores(Reference):
    """Production, scored again tonight on tonight's test rows."""

    version: str
    digest: str = Field(description="sha256 of its bundle's manifest.")
    probabilities: str = Field(
        description="Path of a .npy (rows, classes of tonight); NaN columns: classes it lacks."
    )
    classes: tuple[str, ...] = Field((), description="All classes it knows.")
    test_digest: str | None = Field(None, description="Of the rows it was scored on.")


class Against(Reference):
    """Whom a night is judged against; None where nobody served when it began."""

    champion: ChampionScores | None


class Predictions(Reference):
    """A batch scored by Production."""

    model: str
    version: str
    digest: str
    rows: int = Field(description="Rows in the input, bad ones counted.")
    scored: int
    rejected: int
    output: str = Field(description="Path or address of the predictions.")
    rejects: str | None = Field(None, description="Where the rows without answer are, and why.")
    parts: int = Field(1, description="Files of predictions.")
    taken: int = Field(0, description="Parts that an earlier run had finished.")
    refused: str | None = Field(None, description="Why the batch is refused; None: it is not.")
    rows_per_second: float = Field(0.0, description="Of the rows scored by this run.")


class Moved(Reference):
    """One feature of a day's live inputs against the reference."""

    feature: str
    statistic: float = Field(description="How far apart day and reference are.")
    usual: float = Field(description="The same for reshuffled rows, on average.")
    alone: float = Field(description="Probability of so much by chance, this feature alone.")
    among: float = Field(description="The same for any of the features; held against the level.")
    said: str = Field("", description="Where it moved from and to, in words.")


class Watched(Reference):
    """A day's live inputs as monitoring sees them."""

    pipeline: str
    logical_date: str
    version: str | None = Field(None, description="That answered most rows of the day.")
    rows: int = Field(description="Logged on the day.")
    compared: int = 0
    reference_rows: int = 0
    level: float = Field(description="Of one night, so that alarms are as rare as asked for.")
    smallest: float | None = Field(None, description="Smallest of the features' `among`.")
    conspicuous: bool = False
    alarm: bool = False
    reason: str = Field(description="One sentence with numbers.")
    features: tuple[Moved, ...] = ()
    not_compared: tuple[str, ...] = Field((), description="What the log does not hold, and why.")
    reference_accuracy: float | None = None
    estimated_accuracy: Measured | None = Field(None, description="Without labels.")
    thresholded_accuracy: float | None = Field(None, description="The same by another method.")
    true_accuracy: dict[str, tuple[float, int]] = Field(
        default_factory=dict, description="Date to accuracy and rows whose label has come."
    )
    event: str | None = Field(None, description="Id of the alarm's event.")
    report: str | None = Field(None, description="Key of the drift report in the store.")
    run_id: str | None = Field(None, description="MLflow run of the day.")


class GateResult(Reference):
    """What one gate said."""

    gate: str
    passed: bool
    sentence: str = Field(description="With the numbers it judged by.")
    numbers: dict[str, float] = Field(default_factory=dict)
    failing: Literal["unfit", "worse", "unsure"] | None = Field(
        None, description="Where it did not pass: what that says of the challenger."
    )


class Verdict(Reference):
    """What all gates said, and so the night."""

    promote: bool
    verdict: str = Field(
        "", description="better, not worse and fresher, not enough evidence, worse or unfit."
    )
    reason: str = Field(description="The verdict in one sentence with numbers.")
    gates: tuple[GateResult, ...]
    more_rows: int = Field(0, description="More labelled test rows that would settle it.")


class Probed(Reference):
    """A champion on probation, judged beside its predecessor by rows neither learnt from."""

    pipeline: str
    logical_date: str
    version: str = Field(description="The champion.")
    since: int = Field(description="The ledger's entry that promoted it.")
    predecessor: str
    judged: bool = Field(default=False, description="There were rows enough; this was a look.")
    worse: bool = False
    demoted: bool = Field(default=False, description="The predecessor serves again.")
    rows: int = 0
    look: int = 0
    of: int = Field(description="Looks that probation has.")
    level: float = Field(0.0, description="One-sided significance level of the look.")
    difference: Measured | None = Field(None, description="Champion less predecessor.")
    numbers: dict[str, float | int | str] = Field(default_factory=dict)
    reason: str = Field(description="One sentence with numbers.")


class Night(Reference):
    """The record of one finished execution of `retrain`."""

    pipeline: str
    logical_date: str
    outcome: Outcome = "failed"
    reason: str = "the night is not over"
    refused_by: Literal["source", "contract", "gate", "ledger", "approval"] | None = Field(
        None,
        description="Who said no; source: a file it names is not there; approval: a person is "
        "asked first.",
    )
    version: str | None = Field(None, description="Registered tonight.")
    stage: str | None = Field(None, description="Where that version stands.")
    champion_before: str | None = None
    champion_after: str | None = None
    data_digest: str | None = None
    settings_digest: str | None = Field(None, description="sha256 over settings, seed and code.")
    test_digest: str | None = None
    tuned: Tuned | None = Field(None, description="What a search for settings found.")
    candidates: tuple[Trained, ...] = ()
    challenger: str | None = None
    verdict: Verdict | None = None
    probation: Probed | None = Field(None, description="Of the champion that night began with.")
    test_metrics: dict[str, float] = Field(
        default_factory=dict, description="Of the model in Production after the night."
    )
    class_recall: dict[str, float] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict, description="By step.")
    report: str | None = Field(None, description="Path of the night report.")
    run_id: str | None = Field(None, description="MLflow run of the night.")
    seed: int = 0
    finished_at: str = ""
