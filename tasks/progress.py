"""Progress as log records, so that any front end may draw it and a log file stays readable.

A record of the logger `tasks.progress` carries `subject`, `done`, `total` and `note` as
attributes; the command line draws bars from them on a terminal and prints lines elsewhere.
"""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
values = logging.getLogger(f"{__name__}.values")


def report(subject: str, done: int, total: int | None, note: str = "") -> None:
    """Say how far a subject (a candidate, a file) has come.

    Args:
        subject: What is in progress: "bilstm".
        done: Units finished, at most `total`.
        total: Units in all; None while nobody knows.
        note: What a person would like to know: "epoch 3, macro-F1 0.812".
    """
    extra = {"subject": subject, "done": done, "total": total, "note": note}
    of = f"{done}" if total is None else f"{done} of {total}"
    logger.info("%s: %s %s", subject, of, note, extra=extra)


def measured(subject: str, step: int, value: float) -> None:
    """Say what a subject (a trial) has reached; whoever runs it may end it for that.

    Args:
        subject: What was measured.
        step: Folds or epochs so far; 0 only says that it is still at it.
        value: The pipeline's metric.
    """
    extra = {"subject": subject, "step": step, "value": value}
    values.info("%s: %.4f after %d", subject, value, step, extra=extra)
