import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from model_registry.proportions import (
    Pairs,
    fell,
    fewest_rows,
    holds,
    holm,
    rows_to_hold,
    telling_margin,
    together,
)

LEVEL = 0.04  # of recall_holds


def group(rows, gained, lost, both=None, name="x"):
    both = (rows - gained - lost) // 2 if both is None else both
    return Pairs(name, rows, both + gained, both + lost, gained, lost)


@st.composite
def groups(draw, most=300):
    rows = draw(st.integers(1, most))
    gained = draw(st.integers(0, rows))
    return group(rows, gained, draw(st.integers(0, rows - gained)))


def passing(rows, margin, lost_share):
    """How often a true fall of exactly `margin` passes, over all outcomes there are."""
    gained_share, total = lost_share - margin, 0.0
    for gained in range(rows + 1):
        chance = binom.pmf(gained, rows, gained_share)
        if chance < 1e-12:
            continue
        losses = np.arange(rows - gained + 1)
        passed = [holds(group(rows, gained, int(lost)), margin) <= LEVEL for lost in losses]
        given_gained = binom.pmf(losses, rows - gained, lost_share / (1 - gained_share))
        total += chance * float(given_gained @ np.array(passed, float))
    return total


@pytest.mark.parametrize("rows", [15, 25, 40, 60])
def test_a_fall_of_twenty_points_passes_at_most_one_night_in_twenty(rows):
    """Exactly, by enumeration, whatever the share of rows that change sides."""
    assert max(passing(rows, 0.2, share) for share in (0.2, 0.25, 0.3, 0.4, 0.55)) <= 0.05


@pytest.mark.parametrize("margin", [0.05, 0.1])
def test_smaller_falls_are_tested_at_their_level_too(margin):
    assert max(passing(50, margin, share) for share in (margin, margin + 0.1, 0.4)) <= 0.055


def test_the_score_equals_one_worked_by_hand():
    """44 pairs, 43 right by both, 1 lost, margin 0.1."""
    pairs = group(44, 0, 1, both=43)
    # q solves 88q^2 - (1 + 8.9)q + 0.11 = 0; z = 3.4 / sqrt(44 (2q - 0.11))
    q = (9.9 + math.sqrt(9.9**2 - 4 * 88 * 0.11)) / 176
    z = 3.4 / math.sqrt(44 * (2 * q - 0.11))
    assert holds(pairs, 0.1) == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)), rel=1e-9)


@given(pairs=groups(), margin=st.floats(0.01, 0.5))
def test_a_wider_margin_is_easier_to_hold(pairs, margin):
    assert holds(pairs, margin * 1.5) <= holds(pairs, margin) + 1e-9


@given(pairs=groups(), margin=st.floats(0.01, 0.4))
def test_one_more_row_lost_is_harder_to_hold_and_likelier_a_fall(pairs, margin):
    worse = group(pairs.rows + 1, pairs.gained, pairs.lost + 1)
    better = group(pairs.rows + 1, pairs.gained + 1, pairs.lost)
    assert holds(worse, margin) >= holds(better, margin) - 1e-9
    assert fell(worse) <= fell(better)


@given(pairs=groups())
def test_a_fall_is_the_exact_sign_test(pairs):
    changed = pairs.gained + pairs.lost
    expected = 1.0
    if changed:
        expected = binomtest(pairs.lost, changed, 0.5, alternative="greater").pvalue
    assert fell(pairs) == pytest.approx(expected, abs=1e-9)


@given(pairs=groups(), margin=st.floats(0.01, 0.5))
def test_p_values_are_probabilities(pairs, margin):
    assert 0 <= holds(pairs, margin) <= 1
    assert 0 <= fell(pairs) <= 1


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12), level=st.floats(0.001, 0.3))
def test_holm_rejects_what_its_step_down_rule_rejects(values, level):
    adjusted = holm(values)
    rejected, order = set(), sorted(range(len(values)), key=values.__getitem__)
    for rank, place in enumerate(order):
        if (len(values) - rank) * values[place] > level:
            break
        rejected.add(place)
    assert {place for place, value in enumerate(adjusted) if value <= level} == rejected
    assert all(new >= old for new, old in zip(adjusted, values, strict=True))


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=8), data=st.data())
def test_holm_does_not_mind_the_order(values, data):
    order = data.draw(st.permutations(range(len(values))))
    mixed = holm([values[place] for place in order])
    straight = holm(values)
    assert sorted(mixed) == sorted(straight)


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.2])
def test_the_fewest_rows_are_the_first_that_can_pass(margin):
    rows = fewest_rows(margin, LEVEL)
    assert holds(group(rows, 0, 0), margin) <= LEVEL
    assert holds(group(rows - 1, 0, 0), margin) > LEVEL


@given(pairs=groups(most=5_000))
def test_the_margin_asked_about_stays_within_its_bounds_and_shrinks_with_rows(pairs):
    bounds = {"least": 0.05, "most": 0.2, "level": LEVEL, "miss": 0.02}
    margin = telling_margin(pairs, **bounds)
    assert 0.05 <= margin <= 0.2
    more = group(pairs.rows * 4, pairs.gained * 4, pairs.lost * 4)
    assert telling_margin(more, **bounds) <= margin
    swapped = group(pairs.rows, pairs.lost, pairs.gained)
    assert telling_margin(swapped, **bounds) == margin


def test_an_equal_model_passes_as_often_as_the_rows_asked_for_promise():
    pairs = group(100, 10, 10)
    rows = rows_to_hold(pairs, 0.1, level=LEVEL, power=0.8)
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(rows, [0.1, 0.1, 0.8], size=2_000)
    passed = [holds(group(rows, int(a), int(b)), 0.1) <= LEVEL for a, b, _ in drawn]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.05)


def test_groups_put_together_keep_their_names_and_add_up():
    both = together("rare", [group(5, 1, 2, both=2, name="a"), group(7, 0, 1, both=4, name="b")])
    assert both == Pairs("rare", 12, 7, 9, 1, 3, ("a", "b"))
