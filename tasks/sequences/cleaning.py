r"""Cleaning steps: each builder takes its options and gives a `Step`, text in, text out.

A step sees many words at once, one a line, and must treat each line by itself: it never
joins, adds or removes a newline. It may put spaces into a line (more words) or empty it (no
word). So cleaning works on the *distinct* words of a whole column in a few passes, and a
row's result cannot depend on the rows beside it.
"""

from __future__ import annotations

import functools
import html
import re
import threading
from collections.abc import Callable, Sequence

from tasks.config import Choice, ConfigError
from tasks.misfits import unknown
from tasks.sequences.characters import LINK, NUMBER, PLACEHOLDER, USER, of_category, word

Step = Callable[[str], str]

NEGATIONS = frozenset(
    [
        *("cannot", "cant", "couldnt", "hardly", "hasnt", "neither", "never", "no", "nobody"),
        *("none", "noone", "nor", "not", "nothing", "nowhere", "without"),
    ]
)


def entities() -> Step:
    """`&amp;` and its kind become the characters they stand for."""

    def unescape(match: re.Match[str]) -> str:
        return " ".join(html.unescape(match[0]).split())

    return functools.partial(re.compile(r"&#?\w+;").sub, unescape)


def lowercase() -> Step:
    """Lower case, by Unicode."""
    return str.lower


def links(*, keep: bool = True) -> Step:
    """Web addresses become `<url>`.

    Args:
        keep: False removes them without a trace.
    """
    beginning = r"[hHwW](?:(?<=[hH])(?i:ttps?:)|(?<=[wW])(?i:ww\.))"  # a set first: 4 times faster
    return _replace(rf"{beginning}\S+", LINK, keep=keep)


def user_names(*, keep: bool = True) -> Step:
    """`@name` becomes `<user>`; the at sign of a mail address is left alone.

    Args:
        keep: False removes them without a trace.
    """
    return _replace(r"@(?<!\w@)\w+", USER, keep=keep)


def numbers(*, keep: bool = True) -> Step:
    """Numbers, prices, dates and times in digits become `<number>`; `b4` and `2nd` stay.

    Args:
        keep: False removes them without a trace.
    """
    return _replace(r"\d(?<!\w\w)\d*(?:[.,:/-]\d+)*\b", NUMBER, keep=keep)


def hashtags() -> Step:
    """`#happy` becomes `happy`."""
    return _replace(r"#(?<!\w#)(?=\w)", "", keep=False)


def elongations() -> Step:
    """A character said three times or more is said twice: `sooooo` becomes `soo`."""
    return functools.partial(re.compile(r"([^\d\s])\1{2,}").sub, r"\1\1")


def punctuation() -> Step:
    """Punctuation and ASCII symbols go; inner apostrophes, emoji and placeholders stay."""
    lone = rf"<(?!{PLACEHOLDER[1:]})|>(?<!{LINK})(?<!{USER})(?<!{NUMBER})|'(?<!\w')|'(?!\w)"
    spaces = str.maketrans(dict.fromkeys(set("$+=^`|~" + of_category("P")) - {"'"}, " "))
    only_lone = re.compile(lone)

    def remove(text: str) -> str:
        return only_lone.sub(" ", text.translate(spaces))

    return remove


def stop_words(*, words: Sequence[str] | None = None, keep: Sequence[str] = ()) -> Step:
    """Words that say little go.

    Args:
        words: The list; scikit-learn's English one without its negations where absent.
        keep: Words of the list that stay all the same.
    """
    listed = frozenset(standard_stop_words() if words is None else words) - frozenset(keep)
    return _each_word(lambda found: "" if found.lower() in listed else found)


def standard_stop_words() -> list[str]:
    """scikit-learn's English stop words without negations, which turn a sentence round."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return sorted(ENGLISH_STOP_WORDS - NEGATIONS)


def stem(*, language: str = "english") -> Step:
    """Words become their stems by Snowball's rules: `running` becomes `run`.

    Args:
        language: One of Snowball's algorithms.
    """
    import snowballstemmer

    if language not in snowballstemmer.algorithms():
        raise ConfigError(unknown("language", language, snowballstemmer.algorithms()))
    stemmer, lock = snowballstemmer.stemmer(language), threading.Lock()

    @functools.lru_cache(maxsize=2**16)
    def stem_of(found: str) -> str:
        with lock:  # the stemmer keeps its word in itself
            return str(stemmer.stemWord(found))

    return _each_word(stem_of)


def lemmatise(*, language: str = "en") -> Step:
    """Words become their dictionary form: `houses` becomes `house`; `don't` stays.

    Args:
        language: Code of a language that simplemma carries a dictionary of.
    """
    import simplemma

    try:
        simplemma.lemmatize("word", lang=language)
    except ValueError as error:
        raise ConfigError(f"cleaning 'lemmatise': language {language!r}: {error}") from None

    def lemma_of(found: str) -> str:
        return found if found.endswith("n't") else str(simplemma.lemmatize(found, lang=language))

    return _each_word(lemma_of)


def pinned(choice: Choice) -> Choice:
    """The choice with what a library's next version may change written out in its options."""
    if choice.name != "stop_words" or choice.options.get("words") is not None:
        return choice
    return Choice(name=choice.name, options={**choice.options, "words": standard_stop_words()})


def _replace(pattern: str, placeholder: str, *, keep: bool) -> Step:
    return functools.partial(re.compile(pattern).sub, f" {placeholder} " if keep else "")


def _each_word(change: Callable[[str], str]) -> Step:
    """A step that changes words one by one and leaves placeholders and signs alone."""
    pattern = re.compile(f"{PLACEHOLDER}|{word()}")

    def one(match: re.Match[str]) -> str:
        found = match[0]
        return found if found[0] == "<" else change(found)

    return functools.partial(pattern.sub, one)
