"""How many rows of each class the index strategies leave, and how much they weigh."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Choice, ConfigError
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.resampling.apply import resample

TEXT = InputSpec("text", 9)
COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=5)


def rows(counts):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    inputs = Ragged(np.ones(len(labels), np.int32), np.arange(len(labels) + 1))
    return Examples(inputs, labels, np.arange(len(labels)).astype(str))


def after(name, counts, **options):
    classes = [str(label) for label in range(len(counts))]
    choice = Choice(name=name, options=options)
    return resample(rows(counts), choice, classes, TEXT, seed=5)


@settings(deadline=None, max_examples=30)
@given(COUNTS)
def test_over_and_under_sampling_make_all_classes_alike(counts):
    assert set(after("random_over", counts).after.values()) == {max(counts)}
    assert set(after("random_under", counts).after.values()) == {min(counts)}


@settings(deadline=None, max_examples=30)
@given(COUNTS, st.floats(1, 6))
def test_capped_oversampling_never_repeats_beyond_the_cap(counts, cap):
    found = after("capped_over", counts, cap=cap).after.values()
    assert list(found) == [max(n, min(max(counts), int(cap * n))) for n in counts]


@settings(deadline=None, max_examples=30)
@given(COUNTS)
def test_every_row_is_still_there_after_oversampling(counts):
    found = after("random_over", counts).examples.row_ids.tolist()
    assert set(found) == set(rows(counts).row_ids.tolist())


@settings(deadline=None, max_examples=30)
@given(COUNTS)
def test_no_row_is_there_twice_after_undersampling(counts):
    found = after("random_under", counts).examples.row_ids.tolist()
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=int)


@settings(deadline=None, max_examples=30)
@given(COUNTS)
def test_class_weights_give_every_class_the_same_mass(counts):
    weights = after("class_weights", counts).weights
    mass = np.bincount(rows(counts).labels, weights)
    assert mass == pytest.approx(np.full(len(counts), sum(counts) / len(counts)), rel=1e-4)


def test_a_lower_ratio_goes_part_of_the_way():
    assert after("random_over", [100, 10, 60], ratio=0.5).after == {"0": 100, "1": 50, "2": 60}
    assert after("random_under", [100, 10, 15], ratio=0.5).after == {"0": 20, "1": 10, "2": 15}


def test_a_lower_power_weighs_part_of_the_way():
    weights = after("class_weights", [80, 20], power=0.5).weights
    assert weights[-1] / weights[0] == pytest.approx(2)


@pytest.mark.parametrize("name", ["random_over", "random_under"])
@pytest.mark.parametrize("ratio", [0, -1, 1.5])
def test_a_ratio_that_is_no_share_is_refused(name, ratio):
    with pytest.raises(ConfigError, match="ratio"):
        after(name, [4, 2], ratio=ratio)


def test_a_cap_below_one_is_refused():
    with pytest.raises(ConfigError, match="cap"):
        after("capped_over", [4, 2], cap=0.5)


def test_an_unknown_strategy_names_the_right_one():
    with pytest.raises(ConfigError, match="did you mean 'random_over'"):
        after("random_ove", [4, 2])


def test_what_was_changed_is_told_of_the_classes_it_was_changed_of():
    assert after("random_over", [3, 1, 2]).changes == "1 1 to 3, 2 2 to 3"
    assert after("none", [3, 1]).changes == ""
