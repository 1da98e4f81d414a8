"""Batches of like length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sequences.bucketing import bucket_length, bucketed

LENGTHS = st.lists(st.integers(0, 300), max_size=200).map(lambda rows: np.array(rows, np.int64))


def padded_steps(batches, lengths):
    return sum(len(batch) * bucket_length(int(lengths[batch].max())) for batch in batches)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.booleans(), st.none() | st.integers(1, 4_000))
def test_every_row_is_in_exactly_one_batch(lengths, size, shuffle, max_steps):
    batches = bucketed(lengths, size, seed=3, shuffle=shuffle, max_steps=max_steps)
    rows = np.concatenate([*batches, np.zeros(0, np.int64)])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.booleans())
def test_all_batches_but_one_are_full(lengths, size, shuffle):
    batches = bucketed(lengths, size, seed=3, shuffle=shuffle)
    assert sum(len(batch) < size for batch in batches) <= 1


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 4_000))
def test_a_batch_holds_no_more_steps_than_allowed_unless_one_row_does(lengths, max_steps):
    for batch in bucketed(lengths, 32, seed=1, shuffle=True, max_steps=max_steps):
        steps = len(batch) * bucket_length(int(lengths[batch].max()))
        assert steps <= max_steps or len(batch) == 1


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_batches(lengths, seed):
    first, second = (bucketed(lengths, 16, seed=seed, shuffle=True) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_another_seed_mixes_rows_and_batches_anew():
    lengths = np.random.default_rng(0).integers(1, 60, 1_000)
    first, second = (bucketed(lengths, 50, seed=seed, shuffle=True) for seed in (1, 2))
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    assert {frozenset(batch.tolist()) for batch in first} != {
        frozenset(batch.tolist()) for batch in second
    }


def test_without_shuffling_rows_of_one_padded_length_stay_in_order():
    batches = bucketed(np.array([3, 40, 2, 39, 1]), 2, seed=0, shuffle=False)
    assert [batch.tolist() for batch in batches] == [[0, 2], [4, 1], [3]]


def test_the_small_batch_is_not_always_the_longest():
    lengths = np.arange(1, 101)
    longest = {
        max(bucketed(lengths, 30, seed=seed, shuffle=True), key=lambda b: lengths[b].max()).size
        for seed in range(20)
    }
    assert longest == {10, 30}


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_a_padded_length_fits_and_wastes_at_most_a_quarter_or_a_few_steps(longest):
    padded = bucket_length(longest)
    assert padded >= max(longest, 1)
    assert padded - longest <= max(4, longest / 4)


def test_there_are_few_padded_lengths():
    found = sorted({bucket_length(n) for n in range(129)})
    assert found == [*range(4, 33, 4), *range(40, 65, 8), *range(80, 129, 16)]


@pytest.mark.parametrize("shuffle", [True, False])
def test_little_of_tweet_like_batches_is_padding(shuffle):
    lengths = np.random.default_rng(5).gamma(6, 4, 20_000).astype(np.int64) + 1
    batches = bucketed(lengths, 256, seed=0, shuffle=shuffle)
    waste = padded_steps(batches, lengths) / lengths.sum() - 1
    naive = len(lengths) * lengths.max() / lengths.sum() - 1
    assert waste < 0.15
    assert naive > 12 * waste
