"""How often the rows are passed, so that a small set gets the updates it needs too."""

from __future__ import annotations

import math

from tasks.config import Training


def passes_an_epoch(rows: int, settings: Training) -> int:
    """Passes over the rows between two validations, so that `min_updates` fit in all epochs.

    A small set has few batches a pass: 10 epochs of 3 updates teach nothing. Patience counts
    these longer epochs, and validation costs no more than it would on a large set.

    Args:
        rows: Training rows, at least one.
        settings: Epochs, batch size and the updates that must fit.
    """
    updates = settings.epochs * math.ceil(rows / settings.batch_size)
    return max(1, math.ceil(settings.min_updates / updates))
