"""Keras' own `fit` over bucketed batches, stopped by the pipeline's own metric."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.config import Training
from tasks.ragged import Examples
from tasks.training import callbacks
from tasks.training.batches import Batches, BatchesOf, PadTo, probabilities
from tasks.training.budget import passes_an_epoch
from tasks.training.errors import TrainingError
from tasks.training.members import loss, solve, taught
from tasks.training.one_vs_rest import Setting
from tasks.training.optimizers import optimizer
from tasks.training.resuming import Resume

Metric = Callable[[NDArray[np.int32], NDArray[np.float32]], float]
Measure = Callable[[Examples], tuple[float, float]]


@dataclass(frozen=True)
class History:
    """How a fit went.

    Attributes:
        epochs: One record an epoch: epoch, updates, loss, validation_loss, validation_metric,
            learning_rate, seconds (training only) and rows_per_second. A model that is solved
            for has one, of no update.
        best: Index of the epoch whose weights the model has now.
        passes: Over the training rows in an epoch.
        seconds: In all, validation counted.
        solved: How members that no gradient moves were solved for, by kind.
    """

    epochs: tuple[dict[str, Any], ...]
    best: int
    passes: int
    seconds: float
    solved: dict[str, Setting]


def fit(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    settings: Training,
    *,
    weights: NDArray[np.float32] | None,
    batches_of: BatchesOf,
    pad_to: PadTo,
    classes: int,
    metric: Metric,
    seed: int,
    on_epoch: Callable[[dict[str, Any]], None],
    resume: Path | None = None,
) -> History:
    """Train, and leave the model with the weights of its best epoch.

    Args:
        model: As a builder made it.
        train: Rows to learn from.
        validation: Rows that say which epoch is best.
        settings: Optimiser, learning rate, batches, epochs, patience.
        weights: Of each training row's loss, `(rows,)`; None weighs all alike.
        batches_of: Cuts rows into batches by length.
        pad_to: From a batch's longest row to its padded length.
        classes: Number of classes.
        metric: From labels and probabilities to a number, better when higher.
        seed: Of the order of the rows.
        on_epoch: Hears each epoch's record as it ends.
        resume: File that keeps every epoch, and after whose last one the fit goes on.

    Raises:
        TrainingError: no rows, or a loss that left the finite.
    """
    for what, examples in (("train", train), ("validation", validation)):
        if not len(examples):
            raise TrainingError(f"{what}: needs rows, got 0; give the split a larger share")
    began = time.perf_counter()
    passes = passes_an_epoch(len(train), settings)
    batches = Batches(
        train,
        classes,
        weights=weights,
        batch_size=settings.batch_size,
        passes=passes,
        seed=seed,
        batches_of=batches_of,
        pad_to=pad_to,
    )
    chosen = solve(model, train, validation, weights, seed=seed)
    pupil = taught(model)
    measure = _measuring(model, pupil, metric, batches_of=batches_of, pad_to=pad_to)
    if not pupil.trainable_weights:
        return _solved(measure, train, validation, began, on_epoch, chosen)
    planned = settings.epochs * len(batches)
    pupil.compile(optimizer(settings, planned), loss(settings.label_smoothing))
    best = callbacks.Validate(
        partial(measure, validation),
        patience=settings.patience,
        rows=passes * len(train),
        judged=len(validation),
        on_epoch=on_epoch,
    )
    beside: list[Any] = [callbacks.StopOnNaN(), best]
    if settings.schedule == "plateau":
        beside.append(callbacks.halve_on_plateau(max(1, settings.patience // 2)))
    _run(pupil, batches, beside, epochs=settings.epochs, resume=resume)
    return History(tuple(best.epochs), best.best, passes, time.perf_counter() - began, chosen)


def _measuring(
    model: keras.Model,
    pupil: keras.Model,
    metric: Metric,
    *,
    batches_of: BatchesOf,
    pad_to: PadTo,
) -> Measure:
    """From rows to the model's log loss and metric on them, as it is then."""

    def measure(rows: Examples) -> tuple[float, float]:
        answers = probabilities(model, rows.inputs, batches_of=batches_of, pad_to=pad_to)
        if not np.isfinite(answers).all():
            step = int(pupil.optimizer.iterations) if pupil.trainable_weights else 0
            raise TrainingError(f"answers NaN after step {step}; lower learning_rate")
        chosen = answers[np.arange(len(answers)), rows.labels]
        return float(-np.log(np.maximum(chosen, 1e-7)).mean()), metric(rows.labels, answers)

    return measure


def _solved(
    measure: Measure,
    train: Examples,
    validation: Examples,
    began: float,
    on_epoch: Callable[[dict[str, Any]], None],
    chosen: dict[str, Setting],
) -> History:
    """One epoch without an update: of a model that is solved for, nothing is left to learn."""
    seconds = time.perf_counter() - began
    (surprise, _), (validation_loss, validation_metric) = measure(train), measure(validation)
    epoch = {
        "epoch": 1,
        "updates": 0,
        "loss": surprise,
        "validation_loss": validation_loss,
        "validation_metric": validation_metric,
        "learning_rate": 0.0,
        "seconds": seconds,
        "rows_per_second": len(train) / seconds,
    }
    on_epoch(epoch)
    return History((epoch,), 0, 1, time.perf_counter() - began, chosen)


def _run(
    model: keras.Model, batches: Batches, beside: list[Any], *, epochs: int, resume: Path | None
) -> None:
    """Keras' own `fit`, after the last epoch that `resume` keeps."""
    model.optimizer.build(model.trainable_variables)  # or Keras traces the step a second time
    first = 0
    if resume is not None:
        beside = [*beside, keeper := Resume(resume, beside, epochs=epochs)]
        first = keeper.first_epoch
        batches.begin_at(keeper.done)
    model.fit(
        batches, initial_epoch=first, epochs=epochs, callbacks=beside, shuffle=False, verbose=0
    )
