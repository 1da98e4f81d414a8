"""Folds hold out every row once, every class everywhere, and groups whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tasks.candidates.folds import folds
from tasks.config import ConfigError


@settings(deadline=None, max_examples=30)
@given(
    sizes=some.lists(some.integers(5, 30), min_size=2, max_size=4),
    count=some.integers(2, 5),
    seed=some.integers(0, 99),
)
def test_every_row_is_held_out_once_and_every_class_in_every_fold(sizes, count, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    parts = list(folds(labels, None, count, seed=seed))
    assert len(parts) == count
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(len(labels)))
    for kept, held in parts:
        assert not set(kept) & set(held)
        assert len(kept) + len(held) == len(labels)
        counts = np.bincount(labels[held], minlength=len(sizes))
        assert (np.abs(counts - np.array(sizes) / count) <= 1).all()


@settings(deadline=None, max_examples=30)
@given(seed=some.integers(0, 99))
def test_rows_of_a_group_are_held_out_together(seed):
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(24), generator.integers(1, 6, 24)).astype(str)
    labels = (groups.astype(int) % 2).astype(np.int32)
    held_in = {}
    for number, (kept, held) in enumerate(folds(labels, groups, 3, seed=seed)):
        assert not set(groups[kept]) & set(groups[held])
        assert set(labels[held]) == {0, 1}
        held_in.update(dict.fromkeys(held.tolist(), number))
    assert len(held_in) == len(labels)


def test_the_same_seed_gives_the_same_folds_and_another_gives_others():
    labels = np.arange(60).astype(np.int32) % 3
    one, same, other = (
        [held.tolist() for _, held in folds(labels, None, 3, seed=s)] for s in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(20), 3).astype(str)])
def test_repeats_hold_out_every_row_once_each_time_and_otherwise(groups):
    labels = np.repeat(np.arange(20) % 2, 3).astype(np.int32)
    parts = [held.tolist() for _, held in folds(labels, groups, 3, seed=1, repeats=3)]
    assert len(parts) == 9
    assert parts[:3] == [held.tolist() for _, held in folds(labels, groups, 3, seed=1)]
    cuts = [parts[first : first + 3] for first in (0, 3, 6)]
    assert all(sorted(np.concatenate(cut)) == list(range(60)) for cut in cuts)
    assert len({str(sorted(cut)) for cut in cuts}) == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("few", [1, 2])
def test_a_class_smaller_than_the_folds_is_held_out_as_often_as_it_has_rows(few):
    labels = np.array([0] * 20 + [1] * few + [2] * 9, np.int32)
    parts = list(folds(labels, None, 4, seed=0))
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(len(labels)))
    assert sorted((labels[held] == 1).sum() for _, held in parts) == [0] * (4 - few) + [1] * few


def test_a_fold_that_would_learn_from_one_class_alone_is_refused_with_the_way_out():
    labels = np.array([0] * 20 + [1], np.int32)
    with pytest.raises(ConfigError, match="of 4 would learn from rows of one class alone"):
        list(folds(labels, None, 4, seed=0))


def test_more_folds_than_rows_of_any_class_are_refused_with_the_way_out():
    labels = np.array([0, 0, 1, 1, 2], np.int32)
    with pytest.raises(ConfigError, match="3 folds need a class with 3 rows, the largest has 2"):
        list(folds(labels, None, 3, seed=0))


def test_more_folds_than_groups_of_any_class_are_refused_too():
    labels = np.array([0] * 20 + [1] * 20, np.int32)
    groups = np.array(["c", "d"] * 10 + ["a", "b"] * 10)
    with pytest.raises(ConfigError, match="3 folds need a class with 3 groups, the largest has 2"):
        list(folds(labels, groups, 3, seed=0))
