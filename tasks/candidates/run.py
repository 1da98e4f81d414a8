"""One candidate from encoded rows to a trained model and its answers, in this process."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks import progress
from tasks.architectures import ARCHITECTURES
from tasks.candidates.folds import folds
from tasks.candidates.job import Job
from tasks.config import resolve
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.references import Trained
from tasks.resampling.apply import Resampled, resample
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.training.batches import probabilities
from tasks.training.checkpoints import save, write
from tasks.training.epochs import epochs_kept
from tasks.training.fit import History, fit

logger = logging.getLogger(__name__)

RESUME = "resume"


@dataclass(frozen=True)
class Fitted:
    """A model after its fit."""

    model: keras.Model
    history: History
    resampled: Resampled

    def answers(self, examples: Examples) -> NDArray[np.float32]:
        """Probabilities `(rows, classes)`."""
        return probabilities(self.model, examples.inputs, batches_of=bucketed, pad_to=bucket_length)


def run(job: Job) -> Trained:
    """Cross-validate where asked, then train on the train rows and answer for the others.

    Validation rows choose the epoch; test rows are answered for once, by the finished model.
    Writes model.keras, history.json, the two probability files and, last, trained.json. A job
    with a key keeps every epoch meanwhile, and goes on after the last one if it is killed.

    Raises:
        ConfigError: an option that does not fit its table, or folds that do not fit the rows.
        ResamplingError: rows that the strategy cannot balance.
        TrainingError: no rows, or a loss that left the finite.
    """
    began = time.perf_counter()
    home, out = Path(job.prepared), Path(job.out)
    _go_on_or_clear(job)
    train, validation, test = (
        Examples.load(home / split) for split in ("train", "validation", "test")
    )
    scores = _cross_validate(job, train)
    fitted = _fit(job, train, validation, subject=job.name, kept="model")
    answers = {"validation": fitted.answers(validation), "test": fitted.answers(test)}
    save(fitted.model, out / "model.keras")
    _write_history(job, fitted.history, out)
    for split, given in answers.items():
        write(out / f"{split}_probabilities.npy", partial(np.save, arr=given))
    resampled = fitted.resampled
    trained = Trained(
        name=job.name,
        directory=str(out),
        validation=score(validation.labels, answers["validation"]),
        test=score(test.labels, answers["test"]) if len(test) else {},
        folds=tuple(scores),
        class_counts={
            name: (resampled.before[name], resampled.after[name]) for name in job.classes
        },
        parameters=fitted.model.count_params(),
        epochs=len(fitted.history.epochs),
        seconds=time.perf_counter() - began,
    )
    _write_json(out / "trained.json", trained.model_dump(mode="json"))
    shutil.rmtree(out / RESUME, ignore_errors=True)
    return trained


def _go_on_or_clear(job: Job) -> None:
    """Leave only what an earlier process left of this very job."""
    out, key = Path(job.out), Path(job.out) / RESUME / "key"
    if job.key and key.exists() and key.read_text("utf-8") == job.key:
        return
    for left in (out / "folds", out / RESUME):
        shutil.rmtree(left, ignore_errors=True)
    if job.key:
        write(key, lambda file: file.write(job.key.encode()))


def _cross_validate(job: Job, train: Examples) -> list[dict[str, float]]:
    """Metrics on the held-out rows of each fold; resampling sees only the others."""
    if not job.folds:
        return []
    path = Path(job.prepared) / "train" / "groups.npy"
    groups = np.load(path, allow_pickle=False) if path.exists() else None
    scores = []
    parts = folds(np.asarray(train.labels), groups, job.folds, seed=job.seed)
    for number, (kept, held) in enumerate(parts, 1):
        subject = f"{job.name}, fold {number} of {job.folds}"
        folder = Path(job.out) / "folds" / str(number)
        if (folder / "metrics.json").exists():
            scores.append(json.loads((folder / "metrics.json").read_text("utf-8")))
            continue
        fold = {"subject": subject, "kept": f"fold-{number}"}
        fitted = _fit(job, train.take(kept), train.take(held), **fold)
        scores.append(score(train.labels[held], fitted.answers(train.take(held))))
        _write_history(job, fitted.history, folder)
        _write_json(folder / "metrics.json", scores[-1])
        keras.backend.clear_session()
    return scores


def _fit(job: Job, train: Examples, validation: Examples, *, subject: str, kept: str) -> Fitted:
    resume = Path(job.out) / RESUME / f"{kept}.npz" if job.key else None
    done = epochs_kept(resume) if resume else 0
    if done:
        logger.info("%s: goes on after epoch %d", subject, done)
    keras.utils.set_random_seed(job.seed)
    resampled = resample(train, job.resampling, job.classes, job.spec, seed=job.seed)
    builder = resolve(ARCHITECTURES, job.architecture, "architecture")
    model = builder(job.spec, len(job.classes))
    history = fit(
        model,
        resampled.examples,
        validation,
        job.training,
        weights=resampled.weights,
        batches_of=bucketed,
        pad_to=bucket_length,
        classes=len(job.classes),
        metric=lambda labels, answers: score(labels, answers)[job.metric],
        seed=job.seed,
        on_epoch=_reporter(job, subject),
        resume=resume,
    )
    return Fitted(model, history, resampled)


def _reporter(job: Job, subject: str) -> Callable[[dict[str, Any]], None]:
    def report(epoch: dict[str, Any]) -> None:
        note = f"{job.metric} {epoch['validation_metric']:.3f}, loss {epoch['loss']:.3f}"
        progress.report(subject, epoch["epoch"], job.training.epochs, note)

    return report


def _write_history(job: Job, history: History, folder: Path) -> None:
    """The epochs, the metric under its own name."""
    named = [
        {(f"validation_{job.metric}" if k == "validation_metric" else k): v for k, v in one.items()}
        for one in history.epochs
    ]
    _write_json(folder / "history.json", named)


def _write_json(path: Path, value: Any) -> None:
    content = json.dumps(value, indent=1).encode()
    write(path, lambda file: file.write(content))
