"""How often Python looks for garbage."""

from __future__ import annotations

import gc


def rarely() -> None:
    """Look less often, in a process that is about to import large libraries.

    Importing MLflow, Prefect or Keras makes very many objects that stay, and each look at the
    oldest of them goes through all again.
    """
    gc.set_threshold(20_000, 20, 20)
