"""Comparing is exact by reshuffling: no order of rows matters, and chances are even when quiet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.drift.features import Counts, Means, Ordered, Presence, fourier, one_hot
from tasks.drift.permutation import chances, compare
from tasks.drift.rates import alarms, nightly_level

numbers = st.lists(st.integers(-5, 5).map(float), min_size=6, max_size=40)


def halves(rows, days):
    block = np.zeros((1, rows), np.float32)
    block[0, :days] = 1
    return block


def features_of(values, seed=0):
    rng = np.random.default_rng(seed)
    column = np.asarray(values, np.float64)
    table = one_hot([str(value) for value in values], sorted({str(value) for value in values}))
    points = fourier(rng.normal(size=(len(values), 3)).astype(np.float32), 16, 1)
    return [Ordered("numbers", column), Counts("counts", table), Means("means", points)]


@given(numbers, st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_order_of_rows_within_a_side_does_not_matter(values, days, random):
    now, before = values[:days], values[days:]
    random.shuffle(before)
    shuffled = [*now, *before]
    for one, other in zip(features_of(values)[:2], features_of(shuffled)[:2], strict=True):
        first = one.statistics(halves(len(values), days))
        np.testing.assert_allclose(first, other.statistics(halves(len(values), days)), atol=1e-6)


@given(numbers)
def test_equal_sides_are_not_apart_and_no_distance_is_negative(values):
    twice = [*values, *values]
    for feature in features_of(twice)[:2]:
        found = feature.statistics(halves(len(twice), len(values)))
        assert found == pytest.approx([0], abs=1e-9)
    for feature in features_of(values):
        assert feature.statistics(halves(len(values), 2))[0] >= -1e-9


@given(numbers, st.integers(2, 4))
def test_a_monotone_scale_changes_nothing_in_an_ordered_feature(values, days):
    block = halves(len(values), days)
    column = np.asarray(values)
    plain = Ordered("x", column).statistics(block)
    bent = Ordered("x", np.exp(column) * 3).statistics(block)
    np.testing.assert_allclose(plain, bent, rtol=1e-5)


def test_the_ordered_statistic_is_anderson_and_darlings():
    rng = np.random.default_rng(3)
    now, before = rng.normal(size=30), rng.normal(0.3, size=50)
    pooled = np.concatenate([now, before])
    ours = float(Ordered("x", pooled).statistics(halves(80, 30))[0])
    order = np.sort(pooled)
    theirs = 0.0
    for at, value in enumerate(order[:-1]):
        share = (at + 1) / 80
        apart = (now <= value).mean() - (before <= value).mean()
        theirs += apart**2 / (share * (1 - share)) / 80
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_counts_are_pearsons_distance():
    now, before = np.array([30, 10, 5]), np.array([60, 60, 30])
    table = one_hot(np.repeat([0, 1, 2, 0, 1, 2], [*now, *before]).astype(str).tolist(), "012")
    ours = float(Counts("x", table).statistics(halves(195, 45))[0])
    chi2 = stats.chi2_contingency([now, before]).statistic
    assert ours * 45 * 150 / 195 == pytest.approx(chi2, rel=1e-5)


def test_one_new_word_is_seen_among_hundreds_of_old_ones():
    rng = np.random.default_rng(2)
    table = (rng.random((240, 400)) < 0.03).astype(np.float32)
    quiet = compare([Presence("words", table)], 120, 120, permutations=499, seed=1)
    assert quiet[0].alone > 0.02
    table[:60, 0] = 1
    (seen,) = compare([Presence("words", table)], 120, 120, permutations=499, seed=1)
    assert seen.alone <= 0.002
    assert seen.statistic > 5 * seen.usual


@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=2, max_size=20))
def test_chances_count_as_much_or_more_and_never_reach_zero(rows):
    statistics = np.asarray(rows, np.float64)
    found = chances(statistics)
    for at, column in enumerate(statistics.T):
        wanted = [(column >= value).mean() for value in column]
        np.testing.assert_allclose(found[:, at], wanted)
    assert (found > 0).all()


def quiet_chances(trials, features):
    """The smallest chance of quiet days, day after day with references of their own."""
    found = []
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        columns = [Ordered(str(n), rng.normal(size=60)) for n in range(features)]
        columns.append(Ordered("again", columns[0].values + 0.01 * rng.normal(size=60)))
        compared = compare(columns, 25, 35, permutations=99, seed=trial)
        found.append(min(one.among for one in compared))
    return np.asarray(found)


def test_quiet_days_are_conspicuous_as_often_as_the_level_says():
    """However many features there are, and although two of them hang together."""
    found = quiet_chances(400, 5)
    for level in (0.05, 0.1, 0.3):
        share = (found <= level).mean()
        assert share <= level + 3 * np.sqrt(level / 400)
        assert share >= level * 0.5


def test_a_shift_in_one_of_many_features_is_found_and_named():
    rng = np.random.default_rng(0)
    columns = [Ordered(str(n), rng.normal(size=400)) for n in range(10)]
    columns[7].values[:200] += 0.7
    found = compare(columns, 200, 200, permutations=499, seed=1)
    assert [one.name for one in found if one.among <= 0.01] == ["7"]
    assert found[7].statistic > 3 * found[7].usual


def test_the_same_seed_gives_the_same_chances():
    columns = features_of(np.random.default_rng(0).integers(0, 9, 40).astype(float).tolist())
    first, again = (compare(columns, 15, 25, permutations=199, seed=4) for _ in range(2))
    assert first == again


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(0, 3))
def test_an_alarm_needs_k_of_n_nights_and_uses_them_up(nights, k, more):
    raised = alarms(nights, k, k + more)
    assert sum(raised) * k <= sum(nights)
    assert all(night for night, alarm in zip(nights, raised, strict=True) if alarm)
    for at in (at for at, alarm in enumerate(raised) if alarm):
        assert sum(nights[max(0, at - k - more + 1) : at + 1]) >= k
    assert alarms(nights, 1, 1) == nights


def test_every_second_night_alarms_where_two_in_a_row_are_asked_for():
    assert alarms([True] * 6, 2, 3) == [False, True, False, True, False, True]
    assert alarms([True, False, True, False, False, True], 2, 3) == [
        False,
        False,
        True,
        *[False] * 3,
    ]


def test_a_month_of_quiet_nights_alarms_as_often_as_was_asked():
    assert nightly_level(0.5, 1, 1, 0.0) == pytest.approx(0.5 / 30, rel=0.1)
    debounced = nightly_level(0.5, 2, 3, 0.0)
    assert debounced > 3 * 0.5 / 30  # two of three by chance is rare, so a night may be bolder
    assert (
        0.5 / 30 <= nightly_level(0.5, 2, 3, 0.5) < debounced
    )  # a shared reference hangs together
    rng = np.random.default_rng(1)
    months = [sum(alarms((rng.random(30) < debounced).tolist(), 2, 3)) for _ in range(3_000)]
    assert np.mean(months) == pytest.approx(0.5, abs=0.06)
