"""The optimiser and its learning rate over the updates that are planned."""

from __future__ import annotations

from typing import Any

import keras

from tasks.config import Training

UNDECAYED = ["bias", "gamma", "beta", "amplitudes"]


def optimizer(settings: Training, updates: int) -> keras.optimizers.Optimizer:
    """Adam, or AdamW whose decay spares biases and normalisation.

    Args:
        settings: Which optimiser, learning rate, largest gradient norm and averaging.
        updates: Planned in all; the learning rate falls to 0 over them.
    """
    options = {
        "learning_rate": learning_rate(settings, updates),
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.weight_averaging > 0,
        "ema_momentum": settings.weight_averaging,
    }
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(**options)
    made = keras.optimizers.AdamW(weight_decay=settings.weight_decay, **options)
    made.exclude_from_weight_decay(var_names=UNDECAYED)
    return made


def learning_rate(settings: Training, updates: int) -> Any:
    """A number, or warm-up and cosine (https://arxiv.org/abs/1608.03983) over the updates."""
    if settings.schedule != "cosine":
        return settings.learning_rate
    warmup = round(settings.warmup * updates)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=settings.learning_rate / max(warmup, 1),
        decay_steps=max(updates - warmup, 1),
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
