"""How often Python looks for garbage."""

from __future__ import annotations

import gc


def rarely() -> None:
    """Look less often, in a process that is about to import large libraries.

    Importing MLflow, Prefect or Keras makes a million objects that stay, and every look goes
    through them: up to a seventh of the seconds that importing takes.
    """
    gc.set_threshold(20_000, 20, 20)
