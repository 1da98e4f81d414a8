"""What must not be written down: passwords in addresses, and values of keys that name a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_NAMES = (
    r"passwords?|passwd|secrets?|tokens?|credentials?|(?:access|api|secret|private)_?key(?:_id)?"
)
_NAME = re.compile(rf"(?:^|.*[_.])(?:{_NAMES})$", re.IGNORECASE)
_PATTERNS = (
    (re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+(?=@)"), rf"\1{HIDDEN}"),  # user:PASSWORD@host
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (
        re.compile(
            rf"((?<![a-z])(?:{_NAMES})[\"']?\s*[=:]\s*[\"']?)[^\s,;&\"'{{\[]+", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
)


def redacted(text: str) -> str:
    """The same text with anything that looks like a secret hidden."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def without_secrets(value: Any) -> Any:
    """The same plain values, however nested, with secrets hidden; the shape stays."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN
            if isinstance(item, str) and item and _NAME.match(str(key))
            else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return redacted(value) if isinstance(value, str) else value
