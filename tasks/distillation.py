"""What a candidate `distilled` is told: who learns, and how much of that from the labels.

Distillation is of Hinton, Vinyals and Dean 2015 (Distilling the Knowledge in a Neural Network,
https://arxiv.org/abs/1503.02531).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError

from tasks.config import DISTILLED, Choice, ConfigError, resolve


class Lesson(NamedTuple):
    """Options of a candidate `distilled`, checked.

    Attributes:
        student: Entry of ARCHITECTURES that learns.
        hardness: Weight of the labels in what it learns; the teachers' answers have the rest.
    """

    student: Choice
    hardness: float


def lesson(*, architecture: Any = "blend", hardness: float = 0.5) -> Lesson:
    """The lesson that options ask for.

    Args:
        architecture: Who learns: a name, or a name with options.
        hardness: Weight of the labels, from 0 to 1.

    Raises:
        ConfigError: another hardness, or what is no name and options.
    """
    number = isinstance(hardness, int | float) and not isinstance(hardness, bool)
    if not (number and 0 <= hardness <= 1):
        raise ConfigError(
            f"option 'hardness' of {DISTILLED}: must be a number from 0 (the teachers' answers "
            f"alone) to 1 (the labels alone), got {hardness!r}"
        )
    try:
        return Lesson(Choice.model_validate(architecture), hardness)
    except ValidationError:
        raise ConfigError(
            f"option 'architecture' of {DISTILLED}: must be a name, or a name with options "
            f"({{name: blend, options: {{units: 32}}}}), got {architecture!r}"
        ) from None


def lesson_of(choice: Choice) -> Lesson:
    """The lesson of a candidate, by its architecture.

    Raises:
        ConfigError: an option that does not fit.
    """
    return resolve({DISTILLED: lesson}, choice, "architecture")()
