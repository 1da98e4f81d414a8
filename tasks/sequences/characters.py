"""Which characters form a word, a mark or punctuation, and so what one token is.

Python's `re` knows no Unicode categories; they are built once from `unicodedata`.
"""

from __future__ import annotations

import functools
import re
import unicodedata

LINK, USER, NUMBER = "<url>", "<user>", "<number>"
PLACEHOLDER = "<(?:url|user|number)>"
EMOTICON = r"[:;=][-'^o]?[)(\]\[DPdpOo3/\\|*]+(?!\w)|<3+|\^_*\^|\(:"


@functools.cache
def of_category(first_letter: str) -> str:
    """Every character of a Unicode category, of the basic plane: `re` is slow beyond it.

    Args:
        first_letter: "M" for combining marks, "P" for punctuation.
    """
    characters = map(chr, range(0x10000))
    return "".join(c for c in characters if unicodedata.category(c)[0] == first_letter)


@functools.cache
def word() -> str:
    """A run of letters, digits and their marks, with apostrophes only inside: `don't`."""
    run = rf"\w+(?:[{of_category('M')}]\w*)*"
    return f"{run}(?:'{run})*"


@functools.cache
def token() -> re.Pattern[str]:
    """One token: a word, a placeholder, an emoticon, a flag, any other visible character.

    A character brings along its marks, skin tone and whatever is joined to it by U+200D, so
    that one emoji is one token. A newline is a token too: it ends a line.
    """
    sign = rf"[^\w\s][{of_category('M')}]*[\U0001f3fb-\U0001f3ff]?"
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    return re.compile(rf"{word()}|\n|{PLACEHOLDER}|{EMOTICON}|{flag}|{sign}(?:\u200d{sign})*")
