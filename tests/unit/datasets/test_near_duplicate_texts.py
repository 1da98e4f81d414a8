import random
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.errors import DataError
from tasks.datasets.near_duplicates import SHINGLE_CHARACTERS, copies
from tests.rows import series_of, texts

LONG = "the quarterly report could not be exported because the printer was on fire again"


def _texts(words):
    return texts(*((str(at), "a", text) for at, text in enumerate(words)))


def _found(train, test, similarity=0.8):
    return copies(_texts(train), _texts(test), similarity).tolist()


def _jaccard(one, other):
    """The definition, slowly."""
    sets = [
        {padded[at : at + SHINGLE_CHARACTERS] for at in range(len(padded) - SHINGLE_CHARACTERS + 1)}
        for padded in (f" {text} ".ljust(SHINGLE_CHARACTERS) for text in (one, other))
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize(
    "copy",
    [
        LONG,
        LONG.upper() + "!!!",
        f"  {LONG.replace(' ', '  ')} ",
        LONG.replace("printer", "priner"),
        LONG + " https://t.example/x81hs",
        f"“{LONG}” …",
    ],
)
def test_a_copy_is_found(copy):
    assert _found([copy, "something else altogether, about cats"], [LONG]) == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        LONG.replace("could not be", "was") + " and the invoice with it, which is worse by far",
        "the printer was on fire",
        "a quite different sentence of about the same length, with nothing in common at all",
        "",
        None,
    ],
)
def test_what_only_shares_words_is_kept(other):
    assert _found([other], [LONG]) == [False]


def test_short_texts_are_compared_too():
    assert _found(["ok", "Ok!", "no", "?"], ["ok", "?!"]) == [True, True, False, False]


def test_texts_of_signs_and_links_only_are_copies_of_nothing():
    assert _found(["!!!", "https://a.example"], ["???", "https://b.example"]) == [False, False]


def test_at_one_only_equal_texts_count():
    almost = LONG.replace("fire", "fires")
    assert _found([LONG + ".", almost], [LONG], similarity=1) == [True, False]


def test_at_zero_everything_would_be_a_copy_so_it_is_refused():
    with pytest.raises(DataError, match="above 0"):
        _found(["x"], ["y"], similarity=0)


def test_no_rows_have_no_copies():
    assert _found([], [LONG]) == []
    assert _found([LONG], []) == [False]


WORD = st.sampled_from(["red", "green", "blue", "cat", "dog", "runs", "sings", "slowly"])
SENTENCES = st.lists(st.lists(WORD, max_size=8).map(" ".join), max_size=8)


@given(SENTENCES, SENTENCES, st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.95]))
@settings(deadline=None, max_examples=150)
def test_what_is_found_is_exactly_what_the_definition_says(train, test, similarity):
    expected = [
        bool(one) and any(_jaccard(one, other) >= similarity for other in test if other)
        for one in train
    ]
    assert _found(train, test, similarity) == expected


def test_many_blocks_find_what_one_finds(monkeypatch):
    rng = random.Random(3)
    vocabulary = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    lines = [" ".join(rng.choices(vocabulary, k=12)) for _ in range(300)]
    train = [line.replace("a", "e", 1) if at % 3 else line for at, line in enumerate(lines)]
    whole = _found(train, lines[::2], 0.7)
    monkeypatch.setattr("tasks.datasets.near_duplicates.BLOCK_ROWS", 17)
    monkeypatch.setattr("tasks.datasets.near_duplicates._PAIRS_AT_ONCE", 1)
    assert _found(train, lines[::2], 0.7) == whole
    assert sum(whole) > 100


def test_series_are_copies_when_equal_to_five_decimals():
    train = series_of([[1.0], [2.0]], [[1.000001], [2.0]], [[1.1], [2.0]], [[1.0]], [[-0.0]])
    test = series_of([[1.0], [2.0]], [[0.000001]])
    frames = [pd.DataFrame({"row_id": range(len(rows)), "series": rows}) for rows in (train, test)]
    assert copies(*frames, 0.5).tolist() == [True, True, False, False, True]


@pytest.mark.slow
def test_fifty_thousand_tweets_against_twelve_thousand_take_seconds():
    rng = np.random.default_rng(5)
    letters = list("aabcdeeefghiijklmnoopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(20_000)]
    weights = 1 / np.arange(1, 20_001)
    weights /= weights.sum()
    lines = [" ".join(line) for line in rng.choice(words, (60_000, 18), p=weights)]
    planted = [line + "!" for line in lines[:500]]
    start = time.process_time()
    found = copies(_texts(planted + lines[12_000:]), _texts(lines[:12_000]), 0.8)
    assert time.process_time() - start < 25
    assert found[:500].all()
    assert found[500:].mean() < 0.01
