"""One fit of a candidate: resample, build, begin with what is known, train, calibrate."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks import progress
from tasks.architectures import ARCHITECTURES, blocks
from tasks.candidates.job import RESUME, Job
from tasks.config import resolve
from tasks.evaluation.calibration import temperature
from tasks.evaluation.metrics import score
from tasks.ragged import Examples
from tasks.resampling.apply import Resampled, resample
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.training.batches import probabilities
from tasks.training.checkpoints import write
from tasks.training.epochs import epochs_kept
from tasks.training.fit import History, fit
from tasks.training.vectors import give

logger = logging.getLogger(__name__)

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Fitted:
    """A model after its fit."""

    model: keras.Model
    history: History
    resampled: Resampled

    def answers(self, examples: Examples) -> NDArray[np.float32]:
        """Probabilities `(rows, classes)`."""
        return answers(self.model, examples)


def answers(model: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """A model's probabilities `(rows, classes)`."""
    return probabilities(model, examples.inputs, batches_of=bucketed, pad_to=bucket_length)


def fit_one(
    job: Job,
    train: Examples,
    validation: Examples,
    *,
    subject: str,
    kept: str,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train the job's candidate on some rows; other rows choose the epoch.

    Args:
        job: Says what to train; with a key, every epoch is kept and the fit goes on after the
            last one where an earlier process was killed in it.
        train: Rows to learn from, before resampling.
        validation: Rows that choose the epoch, and how sure the model is of its answers.
        subject: For progress and messages.
        kept: Name of the file of epochs.
        seed: Of weights, order, dropout and resampling.
        on_epoch: Hears each epoch's record; by default it becomes progress.

    Raises:
        ConfigError: an option that does not fit its table.
        ResamplingError: rows that the strategy cannot balance.
        TrainingError: no rows, or a loss that left the finite.
    """
    resume = Path(job.out) / RESUME / f"{kept}.npz" if job.key else None
    done = epochs_kept(resume) if resume else 0
    if done:
        logger.info("%s: goes on after epoch %d", subject, done)
    keras.utils.set_random_seed(seed)
    resampled = resample(train, job.resampling, job.classes, job.spec, seed=seed)
    if resampled.changes:
        logger.info("%s: resampling %s: %s", subject, job.resampling.name, resampled.changes)
    for note in resampled.notes:
        logger.warning("%s: resampling %s: %s", subject, job.resampling.name, note)
    builder = resolve(ARCHITECTURES, job.architecture, "architecture")
    model = builder(job.spec, len(job.classes))
    give(model, Path(job.prepared) / "vectors.npy")
    history = fit(
        model,
        resampled.examples,
        validation,
        job.training,
        weights=resampled.weights,
        batches_of=bucketed,
        pad_to=bucket_length,
        classes=len(job.classes),
        metric=lambda labels, said: score(labels, said)[job.metric],
        seed=seed,
        on_epoch=on_epoch or _reporter(job, subject),
        resume=resume,
    )
    if job.training.calibrate:
        warmth = temperature(validation.labels, answers(model, validation))
        model = blocks.tempered(model, warmth)
    return Fitted(model, history, resampled)


def _reporter(job: Job, subject: str) -> OnEpoch:
    def report(epoch: dict[str, Any]) -> None:
        note = f"{job.metric} {epoch['validation_metric']:.3f}, loss {epoch['loss']:.3f}"
        progress.report(subject, epoch["epoch"], job.training.epochs, note)

    return report


def write_history(job: Job, epochs: tuple[dict[str, Any], ...], folder: Path) -> None:
    """The epochs, the metric under its own name."""
    named = [
        {(f"validation_{job.metric}" if k == "validation_metric" else k): v for k, v in one.items()}
        for one in epochs
    ]
    write_json(folder / "history.json", named)


def write_json(path: Path, value: Any) -> None:
    """Whole or not there."""
    content = json.dumps(value, indent=1).encode()
    write(path, lambda file: file.write(content))
