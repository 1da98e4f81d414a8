"""How often Python looks for garbage."""

from __future__ import annotations

import atexit
import gc


def rarely() -> None:
    """Look less often, and not when all ends, in a process that is about to import large libraries.

    Importing MLflow, Prefect or Keras makes very many objects that stay, and each look at the
    oldest of them goes through all again. The looks of a Python that ends took one to two seconds
    of processor to free what the system frees anyway.
    """
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)
