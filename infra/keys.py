"""Keys: names that mean the same on a folder and on S3, and never lead out of either."""

from __future__ import annotations

import re

from infra.errors import StorageError

MOST_CHARACTERS = 900
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.=+@-]{0,199}\Z")


def checked(key: str) -> str:
    """The key itself, if it may be used.

    Segments are letters, digits and `_-.=+@`, joined by `/`, and none begins with a dot: no
    key is absolute, climbs with `..`, or hides.

    Raises:
        StorageError: any other key.
    """
    good = len(key) <= MOST_CHARACTERS and all(_SEGMENT.match(part) for part in key.split("/"))
    if not good:
        raise StorageError(
            f"key {key[:200]!r}: segments are letters, digits and _-.=+@ joined by '/', none "
            f"begins with a dot, {MOST_CHARACTERS} characters at most; choose such a name"
        )
    return key


def checked_prefix(prefix: str) -> str:
    """The beginning of keys; empty and a trailing `/` are fine, otherwise as `checked`."""
    if prefix:
        checked(prefix.removesuffix("/"))
    return prefix
