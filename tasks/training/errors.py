"""What can go wrong while a model is fitted.

Errors:
    TrainingError (RuntimeError): no rows to learn from or to choose by, or numbers that left
        the finite; the message names the step and what to change.
"""


class TrainingError(RuntimeError):
    """A fit that cannot start or go on."""
