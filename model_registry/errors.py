"""What can go wrong in the registry, as one small tree.

RegistryError (RuntimeError)
├── RegistryUnreachable   the tracking server or its artifacts did not answer in time
├── VersionUnfit          a version that is not there, not whole, or not of Nocturne's making
├── PromotionLost         somebody else moved Production first (exit code 3)
└── BundleRefused         a bundle broke a rule of loading; nothing of it was run
GateError (ValueError)    an unknown gate or option, or evidence that cannot be judged
"""

from __future__ import annotations


class RegistryError(RuntimeError):
    """The registry cannot do what was asked; the message says what to do."""


class RegistryUnreachable(RegistryError):
    """The tracking server or its artifact store did not answer in time."""


class VersionUnfit(RegistryError):
    """A version is not registered, its files are not all there, or Nocturne did not make it."""


class PromotionLost(RegistryError):
    """Production is no longer what the decision was made against."""

    exit_code = 3  # of the command line: refused

    def __init__(self, found: str | None, expected: str | None) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            f"promotion lost to {_named(found)}, expected {_named(expected)} in Production; "
            "judge again against what is there now"
        )


class BundleRefused(RegistryError):
    """A bundle broke a rule of loading, before anything of it was run."""

    def __init__(self, rule: str, detail: str) -> None:
        self.rule = rule
        super().__init__(f"refused: {rule}: {detail}")


class GateError(ValueError):
    """An unknown gate or option, or evidence that cannot be judged."""


def _named(version: str | None) -> str:
    return f"v{version}" if version else "no version"
