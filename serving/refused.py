"""Why a version is not live: refused for good, or not to be had just now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """A version that was not taken.

    Attributes:
        version: The registered version.
        digest: Of its bundle.
        entry: Of the ledger, that names it.
        reason: What it failed.
        at: When, UTC.
        final: It is not tried again until the ledger moves or somebody asks for it.
    """

    version: str
    digest: str
    entry: int
    reason: str
    at: str
    final: bool


class LedgerGone(RuntimeError):
    """The ledger is not where it was: its store is away."""


class NotReady(RuntimeError):
    """A version could not be made ready now; asking again may help."""


def told(error: Exception) -> str:
    """An error in one line of bounded length."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said[:500]
