"""What every cleaning step owes, checked for each entry of the table, and the check checked."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Choice, ConfigError, Preprocessing, resolve
from tasks.sequences import CLEANING
from tasks.sequences.preprocessor import fit_preprocessor, preprocessor_from_json

TEXT = (
    "RT @Some_User: sooooo #HAPPY!!! &amp; don't stop running 3.50$ http://t.co/x, www.a.b "
    "b4 2nd 12:30 <user> a@b.com \U0001f600\U0001f3fd café Straße İstanbul ’tis 'quoted' "
    "&#10; &nbsp; ελλάδος हिन्दी not_one :-) x\u200dy"
)
TRICKY = TEXT.split()
WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=12)
LINES = st.lists(st.sampled_from(TRICKY) | WORDS, min_size=1, max_size=12)


def step_of(name, **options):
    return resolve(CLEANING, Choice(name=name, options=options), "cleaning step")()


def check_step(step, lines):
    """Each line by itself, newlines kept, the same answer twice."""
    cleaned = step("\n".join(lines))
    assert cleaned.split("\n") == [step(line) for line in lines]
    assert step("\n".join(lines)) == cleaned


@pytest.mark.parametrize("name", CLEANING)
def test_a_step_treats_each_line_by_itself(name):
    step = step_of(name)

    @settings(deadline=None)
    @given(LINES)
    def check(lines):
        check_step(step, lines)

    check()
    check_step(step, TRICKY)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda text: text.replace("\n", " "), id="joins lines"),
        pytest.param(lambda text: text.replace(" ", "\n") + "\n", id="adds a line"),
        pytest.param(lambda text: f"{len(text)}\n" * text.count("\n") + "1", id="looks around"),
        pytest.param(str.capitalize, id="treats the first line otherwise"),
    ],
)
def test_the_check_finds_a_step_that_breaks_the_rule(broken):
    with pytest.raises(AssertionError):
        check_step(broken, ["one", "two three"])


@pytest.mark.parametrize("name", CLEANING)
def test_a_step_is_applied_the_same_after_a_round_trip_through_json(name):
    frame = pd.DataFrame({"text": [TEXT] * 2 + ["running houses &amp; 12 @you"] * 2})
    fitted = fit_preprocessor("text", Preprocessing(cleaning=(Choice(name=name),)), frame)
    state = json.loads(json.dumps(fitted.to_json()))
    loaded = preprocessor_from_json(state)
    assert loaded.to_json() == fitted.to_json()
    assert np.array_equal(loaded.encode(frame).values, fitted.encode(frame).values)


@pytest.mark.parametrize("name", CLEANING)
def test_an_unknown_option_is_refused_with_the_step_named(name):
    with pytest.raises(ConfigError, match=name):
        step_of(name, no_such_option=1)


@pytest.mark.parametrize(
    ("name", "options", "before", "after"),
    [
        ("entities", {}, "fish&amp;chips", "fish&chips"),
        ("entities", {}, "a&#10;b", "ab"),
        ("lowercase", {}, "ÀB", "àb"),
        ("links", {}, "(https://t.co/Ab?c=1)", "( <url>"),
        ("links", {}, "HTTP://X.y", "<url>"),
        ("links", {"keep": False}, "www.example.org", ""),
        ("user_names", {}, ".@some_one!", ". <user> !"),
        ("user_names", {}, "me@home.org", "me@home.org"),
        ("user_names", {"keep": False}, "@you", ""),
        ("hashtags", {}, "#Happy", "Happy"),
        ("hashtags", {}, "c#", "c#"),
        ("numbers", {}, "$1,200.50", "$ <number>"),
        ("numbers", {}, "12:30", "<number>"),
        ("numbers", {}, "b4", "b4"),
        ("numbers", {}, "2nd", "2nd"),
        ("elongations", {}, "soooo!!!!", "soo!!"),
        ("elongations", {}, "1000000", "1000000"),
        ("punctuation", {}, "don't", "don't"),
        ("punctuation", {}, "'quoted'!", "quoted"),
        ("punctuation", {}, "<user>,<b>", "<user> b"),
        ("punctuation", {}, "yes—no…\U0001f600", "yes no \U0001f600"),
        ("stop_words", {}, "the", ""),
        ("stop_words", {}, "The", ""),
        ("stop_words", {}, "not", "not"),
        ("stop_words", {"words": ["cat"]}, "cat", ""),
        ("stop_words", {"words": ["cat"]}, "the", "the"),
        ("stop_words", {"keep": ["the"]}, "the", "the"),
        ("stem", {}, "running,", "run,"),
        ("stem", {}, "<number>", "<number>"),
        ("stem", {"language": "german"}, "Häuser".lower(), "haus"),
        ("lemmatise", {}, "houses", "house"),
        ("lemmatise", {}, "don't", "don't"),
        ("lemmatise", {"language": "de"}, "Häuser", "Haus"),
    ],
)
def test_a_step_does_what_its_name_says(name, options, before, after):
    assert " ".join(step_of(name, **options)(before).split()) == after


@pytest.mark.parametrize("name", ["stem", "lemmatise"])
def test_an_unknown_language_is_refused(name):
    with pytest.raises(ConfigError, match="klingon"):
        step_of(name, language="klingon")


def test_every_negation_survives_the_standard_stop_words():
    kept = "no nor not never none nobody nothing neither nowhere cannot don't isn't"
    assert step_of("stop_words")(kept) == kept
