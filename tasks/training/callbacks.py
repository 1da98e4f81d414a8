"""What happens beside the updates: look for NaN, validate, keep the best, lower the rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tasks.training.errors import TrainingError
from tasks.training.vectors import moving

Logs = dict[str, Any]


class StopOnNaN(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a fit whose loss left the finite, at the step where it did."""

    def __init__(self) -> None:
        super().__init__()
        self._step = 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Raise at the first loss that is NaN or infinite."""
        del batch
        self._step += 1
        if logs and not np.isfinite(logs["loss"]):
            raise TrainingError(
                f"loss NaN at step {self._step}; lower learning_rate "
                f"(now {float(self.model.optimizer.learning_rate):.3g}) or clip_norm, "
                "or look for extreme values in the inputs"
            )


class Validate(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures after every epoch, keeps the best weights and stops where none get better.

    The metric of few rows is noisy, so epochs within a standard error of the highest count as
    equal, and of those the one with the lowest validation loss is best (after the rule of one
    standard error of Breiman et al. 1984, Classification and Regression Trees). Where
    the optimiser keeps a moving average of the weights, that is what is measured and kept, and
    training goes on from where it was.

    Args:
        measure: The model's validation loss and metric; the metric is better when higher.
        patience: Epochs without a better one.
        rows: Training rows in an epoch.
        judged: Validation rows.
        on_epoch: Hears of every epoch.
    """

    def __init__(
        self,
        measure: Callable[[], tuple[float, float]],
        *,
        patience: int,
        rows: int,
        judged: int,
        on_epoch: Callable[[Logs], None],
    ) -> None:
        super().__init__()
        self.epochs: list[Logs] = []
        self.best = 0
        self._measure = measure
        self._patience = patience
        self._rows = rows
        self._judged = judged
        self._on_epoch = on_epoch
        self._weights: list[Any] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        del epoch, logs
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Measure, remember, and stop when patience is at an end."""
        seconds = time.perf_counter() - self._began
        training = self._moving()
        if self.model.optimizer.use_ema:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        loss, metric = self._measure()
        self.epochs.append(
            {
                "epoch": epoch + 1,
                "updates": int(self.model.optimizer.iterations),
                "loss": float((logs or {})["loss"]),
                "validation_loss": loss,
                "validation_metric": metric,
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": seconds,
                "rows_per_second": self._rows / seconds,
            }
        )
        if logs is not None:
            logs["validation_loss"] = loss
        if not self._weights or self._better():
            self.best = epoch
            self._weights = self._moving()
        self._put(training)
        self._on_epoch(self.epochs[-1])
        if epoch - self.best >= self._patience:
            self.model.stop_training = True

    def memory(self) -> tuple[Logs, list[Any]]:
        """Epochs so far, which was best, and its weights."""
        return {"epochs": self.epochs, "best": self.best}, self._weights

    def recall(self, values: Logs, arrays: list[Any]) -> None:
        """Become what `memory` told."""
        self.epochs, self.best, self._weights = values["epochs"], values["best"], arrays

    def _better(self) -> bool:
        """Is the last epoch better than the best one before?"""
        new, kept = self.epochs[-1], self.epochs[self.best]
        highest = max(epoch["validation_metric"] for epoch in self.epochs)
        share = min(max(highest, 0.0), 1.0)
        least = highest - np.sqrt(share * (1 - share) / self._judged)
        if kept["validation_metric"] < least:
            return bool(new["validation_metric"] > kept["validation_metric"])
        lower = new["validation_loss"] < kept["validation_loss"]
        return bool(new["validation_metric"] >= least and lower)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back."""
        del logs
        self._put(self._weights)

    def _moving(self) -> list[Any]:
        return [np.array(variable) for variable in moving(self.model)]

    def _put(self, weights: list[Any]) -> None:
        for variable, value in zip(moving(self.model), weights, strict=True):
            variable.assign(value)


def halve_on_plateau(patience: int) -> keras.callbacks.Callback:
    """Halves the learning rate after `patience` epochs without a lower validation loss."""
    return _Plateau(monitor="validation_loss", mode="min", factor=0.5, patience=patience)


class _Plateau(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    """Keras' own, with a memory; the rate itself is the optimiser's."""

    def memory(self) -> tuple[Logs, list[Any]]:
        """The best loss, and for how long there was none better."""
        counted = {"wait": self.wait, "cooldown_counter": self.cooldown_counter}
        return counted | {"best": float(self.best)}, []

    def recall(self, values: Logs, arrays: list[Any]) -> None:
        """Become what `memory` told."""
        del arrays
        for name, value in values.items():
            setattr(self, name, value)
