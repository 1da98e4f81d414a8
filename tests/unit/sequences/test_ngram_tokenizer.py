"""Words as their own id and those of their character n-grams."""

import numpy as np

from tasks.sequences.ngrams import WordNgramTokenizer, ngrams

COUNTS = {"cat": 3, "sat": 2, "dog": 1}
SMALL = {"buckets": 1000, "shortest": 3, "longest": 4, "most": 6}


def fitted(**options):
    return WordNgramTokenizer(**{**SMALL, **options}).fit(COUNTS)


def row_of(tokenizer, word):
    return tokenizer.encode([word]).values[0].tolist()


def test_ngrams_know_the_borders_of_a_word_and_come_from_the_shortest_up():
    assert list(ngrams("cat", 3, 4)) == ["‹ca", "cat", "at›", "‹cat", "cat›"]


def test_a_known_word_has_its_own_id_first_and_zeros_after_its_ngrams():
    row = row_of(fitted(), "cat")
    assert row[0] == 2
    assert row[-1] == 0
    assert all(4 <= number < 1004 for number in row[1:6])


def test_an_unseen_word_shares_the_ngrams_of_words_that_are_spelt_alike():
    tokenizer = fitted()
    cat, cats = row_of(tokenizer, "cat"), row_of(tokenizer, "cats")
    assert cats[0] == 1
    assert len({*cat[1:], *cats[1:]} - {0}) < len({*cat[1:]} - {0}) + len({*cats[1:]} - {0})


def test_a_long_word_keeps_its_shortest_ngrams():
    tokenizer = fitted()
    long = row_of(tokenizer, "supercalifragilistic")
    assert 0 not in long
    assert len(long) == tokenizer.width == 7


def test_no_id_is_of_a_word_and_of_an_ngram():
    tokenizer = fitted(buckets=1)
    assert tokenizer.size == 5
    assert row_of(tokenizer, "sat") == [3, 4, 4, 4, 4, 4, 0]


def test_a_word_without_an_ngram_of_that_length_has_its_own_id_alone():
    assert row_of(fitted(shortest=9, longest=9), "cat") == [2, 0, 0, 0, 0, 0, 0]


def test_no_words_have_rows_of_the_same_width():
    none = fitted().encode([])
    assert none.values.shape == (0, 7)
    assert none.values.dtype == np.int32
    assert none.offsets.tolist() == [0]
