"""Deleting what nothing needs, in an order that may be cut off anywhere and then goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from infra.failpoints import failpoint
from infra.storage import Storage
from model_registry.runs import Finished, Runs
from model_registry.store import Registry
from model_registry.versions import Version
from tasks.retention.things import KINDS, Thing

CHECK_SECONDS = 1.0


def sweep(
    things: Sequence[Thing],
    storage: Storage,
    registry: Registry,
    runs: Runs,
    *,
    why: str,
    still_ours: Callable[[], None],
) -> None:
    """Delete what goes; each deletion is whole, or is found and finished by the next call.

    Args:
        things: All there are; those with a reason to stay are left alone. Versions among those
            that go are recorded as pruned in the ledger.
        storage: The pipeline's.
        registry: Holds the versions.
        runs: Of the pipeline.
        why: Written on each version in MLflow.
        still_ours: Raises where another process holds the pipeline; asked every second.

    Raises:
        LeaseLost: another process does.
        StorageError: the store refuses; what is gone is gone, the rest is there.
        RegistryError: MLflow does.
    """
    asked = 0.0
    for thing in sorted(things, key=lambda one: (KINDS.index(one.kind), one.day, one.name)):
        if thing.why is not None:
            continue
        if time.monotonic() - asked > CHECK_SECONDS:
            still_ours()
            asked = time.monotonic()
        match thing.about:
            case Version():
                registry.prune(thing.about, why)
            case Finished():
                runs.remove(thing.about)
            case None:
                storage.delete(thing.name)
        failpoint("between_deletions")
