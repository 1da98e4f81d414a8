"""What the answer of each step depends on: bytes in, the settings that matter, and the code.

Where something is in doubt it is part of the question: a step that is computed once too often
costs minutes, an answer to another question costs a wrong model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.config import Choice, Pipeline
from tasks.references import ChampionScores, Evaluation, Prepared, Snapshot, Trained
from tasks.steps import digest_of, digest_of_file, digest_of_folder, files_in
from tasks.tuned import Tuned

Question = dict[str, Any]

ROOT = Path(__file__).parents[1]
READING = ("tasks/ingest.py", "tasks/datasets")
JUDGING = ("tasks/validate.py", "tasks/terms.py", "expectations")
PREPARING = ("tasks/prepare.py", "tasks/preparation.py", "tasks/ragged.py", "tasks/datasets",
             "tasks/sequences")  # fmt: skip
TRAINING = ("tasks/architectures", "tasks/candidates", "tasks/distillation.py", "tasks/ragged.py",
            "tasks/resampling",
            "tasks/sequences/bucketing.py", "tasks/training", "tasks/evaluation/metrics.py",
            "tasks/evaluation/confusion.py", "tasks/evaluation/inputs.py",
            "tasks/evaluation/calibration.py")  # fmt: skip
TUNING = ("tasks/tune.py", "tasks/tuned.py", "tasks/tuning", *TRAINING)
MEASURING = ("tasks/evaluate.py", "tasks/evaluation", "tasks/inference/timing.py")
SCORING = ("tasks/inference", "tasks/register.py", "tasks/reference_rows.py", "tasks/sequences")
GATING = ("tasks/decide.py", "model_registry/gates.py", "model_registry/statistics.py")
LIBRARIES = {
    READING: ("pandas", "pyarrow"),
    JUDGING: ("great-expectations", "pandas"),
    PREPARING: ("gensim", "numpy", "pandas", "pyarrow", "tokenizers"),
    TRAINING: ("imbalanced-learn", "keras", "numpy", "scikit-learn", "tensorflow"),
    TUNING: ("keras", "optuna", "tensorflow"),
    GATING: ("numpy", "scipy"),
    SCORING: ("keras", "mlflow", "tensorflow"),
    MEASURING: ("cleanlab", "matplotlib", "numpy", "scipy"),
}
# what changes no number of a night
BESIDE = {"schedule", "description", "scoring", "monitoring", "serving", "retention"}
# what only a process is told; its rows stand apart
JOB_ONLY = {"rows", "name", "prepared", "out", "threads", "key", "members", "fold"}


def of_ingest(pipeline: Pipeline, day: date) -> Question:
    """A day of a source; a local file that was written since is another source."""
    return {
        "date": day.isoformat(),
        "source": [_state_of(choice) for choice in _choices(pipeline)],
        "configuration": pipeline.model_dump(mode="json", include={"name", "source", "columns"}),
        "code": code(READING),
    }


def of_validate(
    pipeline: Pipeline, snapshot: Snapshot, day: date, earlier: Sequence[str]
) -> Question:
    """A snapshot against its contract, beside the nights before it."""
    suite = pipeline.contract.suite
    return {
        "date": day.isoformat(),
        "rows": snapshot.digest,
        "configuration": pipeline.model_dump(mode="json", include={"name", "columns", "contract"}),
        "suite": digest_of_file(Path(suite)) if suite and Path(suite).exists() else None,
        "earlier nights": list(earlier),
        "code": code(JUDGING),
    }


def of_prepare(pipeline: Pipeline, clean: Snapshot) -> Question:
    """Rows to encode."""
    settings = pipeline.model_dump(mode="json", include={"columns", "preprocessing", "split"})
    return {
        "rows": [clean.digest, clean.unlabelled],
        "configuration": settings | {"labels": sorted(pipeline.contract.labels)},
        "code": code(PREPARING),
    }


def of_candidate(job: Mapping[str, Any]) -> Question:
    """A candidate to train, given all that its process is told."""
    return {
        "rows": job["rows"],
        "configuration": {name: value for name, value in job.items() if name not in JOB_ONLY},
        "code": code(TRAINING),
    }


def of_tune(pipeline: Pipeline, prepared: Prepared, before: Tuned | None) -> Question:
    """A search for settings, given the last one."""
    asked = {"tune", "training", "candidates", "folds", "evaluation", "seed", "columns"}
    return {
        "rows": digest_of_folder(Path(prepared.directory)),
        "configuration": pipeline.model_dump(mode="json", include=asked),
        "earlier search": before and before.model_dump(mode="json"),
        "code": code(TUNING),
    }


def of_evaluate(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: Sequence[Trained],
    champion: ChampionScores | None,
) -> Question:
    """Models to measure on the same rows."""
    apart = {*BESIDE, "gates"}
    said = [each.model_dump(mode="json", exclude={"seconds"}) for each in trained]
    answers = [
        digest_of_file(path)
        for each in trained
        for path in sorted(Path(each.directory).glob("*_probabilities.npy"))
    ]
    return {
        "rows": [prepared.test_digest, prepared.directory],
        "candidates": [said, answers],
        "champion": champion and [champion.digest, digest_of_file(Path(champion.probabilities))],
        "configuration": [pipeline.model_dump(mode="json", exclude=apart), pipeline.budget],
        "code": code(MEASURING),
    }


def of_champion(digest: str | None, prepared: Prepared) -> Question:
    """A champion, by the digest of its bundle, to be scored on the night's rows."""
    return {"champion": digest, "rows": prepared.test_digest, "code": code(SCORING)}


def of_register(
    pipeline: Pipeline,
    prepared: Prepared,
    trained: Sequence[Trained],
    evaluation: Evaluation,
    day: date,
) -> Question:
    """A challenger to register."""
    challenger = next(one for one in trained if one.name == evaluation.challenger)
    return {
        "date": day.isoformat(),
        "rows": prepared.test_digest,
        "challenger": digest_of_file(Path(challenger.directory) / "model.keras"),
        "configuration": pipeline.model_dump(mode="json"),
        "code": code(SCORING),
    }


def of_night(pipeline: Pipeline) -> str:
    """Digest of the settings and code of a whole night, its seed among them."""
    settings = pipeline.model_dump(mode="json", exclude=BESIDE)
    return digest_of([settings, *(code(places) for places in LIBRARIES)])


@cache
def code(places: tuple[str, ...]) -> str:
    """sha256 over the files that compute a step, and the versions of what they stand on."""
    files = {
        str(path.relative_to(ROOT)): digest_of_file(path)
        for place in places
        for path in files_in(ROOT / place)
        if path.suffix != ".pyc"
    }
    return digest_of([files, {name: version(name) for name in LIBRARIES[places]}])


def _choices(pipeline: Pipeline) -> list[Choice]:
    source = pipeline.source
    return [one for one in (source.reader, source.labels, source.unlabelled) if one]


def _state_of(reader: Choice) -> list[tuple[str, int, int]]:
    """Size and time of the local files a reader names; nothing for what cannot be looked at."""
    path = Path(str(reader.options.get("path", ""))).expanduser()
    if "path" not in reader.options or not path.exists():
        return []
    stats = [(str(one), one.stat()) for one in files_in(path)]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
