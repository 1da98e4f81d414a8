"""Rows that share a batch: each in one, and no other cut costs less."""

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.engine import STEP_OVERHEAD_ROWS, buckets, groups
from tasks.sequences.bucketing import bucket_length


def cost(parts):
    return sum(bucket_length(max(part)) * (STEP_OVERHEAD_ROWS + len(part)) for part in parts)


@given(st.lists(st.integers(0, 70), min_size=1, max_size=40))
def test_every_row_is_in_one_group_and_no_cut_by_length_is_cheaper(lengths):
    lengths = np.array(lengths)
    found = groups(lengths)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    ordered = sorted(lengths.tolist())
    edges = [
        n
        for n in range(1, len(ordered))
        if bucket_length(ordered[n - 1]) < bucket_length(ordered[n])
    ]
    cheapest = min(
        cost([ordered[a:b] for a, b in pairwise([0, *cut, len(ordered)])])
        for size in range(min(len(edges), 4) + 1)
        for cut in combinations(edges, size)
    )
    assert cost([lengths[rows].tolist() for rows in found]) <= cheapest


def test_buckets_are_all_that_rows_are_padded_to():
    assert buckets(64) == sorted({bucket_length(n) for n in range(1, 65)})
    assert buckets(1) == [4]
    assert len(buckets(4096)) < 40
    assert buckets(4096)[-1] == 4096
