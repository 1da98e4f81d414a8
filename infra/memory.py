"""Memory that ran out, in words: libraries say it in ways that nobody would know it by."""

from __future__ import annotations

import resource

RAN_OUT = "memory ran out"
SIGNS = (
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "failed to map segment",  # a library that could not be loaded
    "Unable to allocate",
    "OOM when allocating",
    "ResourceExhausted",
    "pthread_create",  # a thread's stack
)


def explained(said: str) -> str:
    """What went wrong, with what to do about it where that was memory.

    Args:
        said: The last words of a process, or an error's.
    """
    if RAN_OUT in said or not any(sign in said for sign in SIGNS):
        return said
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    limit = "" if most == resource.RLIM_INFINITY else f" (limit: {most >> 20:,} MiB a process)"
    return (
        f"{RAN_OUT}{limit}: {said}; run fewer candidates at once (NOCTURNE_WORKERS), lower "
        "training.batch_size or preprocessing.max_length, or raise the limit"
    )
