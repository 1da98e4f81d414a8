import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_registry.spending import SKETCHED, Looks, Wear, level_of, sketch_of


@given(alpha=st.floats(0.001, 0.4), life=st.integers(1, 400))
def test_all_looks_together_spend_what_there_is_and_later_ones_nothing(alpha, life):
    levels = [level_of(look, alpha=alpha, life=life) for look in range(1, life + 1)]
    assert sum(levels) == pytest.approx(alpha)
    assert all(level > 0 for level in levels)
    assert level_of(life + 1, alpha=alpha, life=life) == 0


@given(alpha=st.floats(0.001, 0.4), life=st.integers(2, 400), look=st.integers(1, 400))
def test_no_look_has_more_than_the_one_before(alpha, life, look):
    assert level_of(look + 1, alpha=alpha, life=life) <= level_of(look, alpha=alpha, life=life)


def test_looks_are_counted_from_one():
    with pytest.raises(ValueError, match="expected 1 or more, got 0"):
        level_of(0, alpha=0.05, life=30)


def rows(*numbers):
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def judged(*sets):
    """Looks after sets of rows, each given by the numbers of its rows."""
    looks = Looks()
    for numbers in sets:
        looks.count(str(sorted(numbers)), sketch_of(rows(*numbers)))
    return looks


def wear(looks, numbers):
    return looks.wear(str(sorted(numbers)), sketch_of(rows(*numbers)))


def test_a_set_that_never_changes_is_looked_at_as_often_as_it_was_judged_by():
    assert wear(judged(*[range(2_000)] * 7), range(2_000)).shares == {7: 1.0}
    assert wear(judged(), range(2_000)).shares == {0: 1.0}


@pytest.mark.parametrize("changed", [range(1, 2_001), range(2_001), range(1_999)])
def test_a_row_that_is_replaced_added_or_left_out_does_not_make_a_worn_set_new(changed):
    looks = judged(*[range(2_000)] * 30)
    level = wear(looks, changed).level(alpha=0.05, life=30)
    assert level <= 0.05 / 2 * 2 / SKETCHED
    assert looks.wear("of other digest", "").level(alpha=0.05, life=30) == 0.025  # no sketch


def test_what_a_row_is_called_and_labelled_does_not_matter_but_what_it_says():
    assert sketch_of([*rows(1, 2), None, *rows(2)]) == sketch_of(rows(2, 1))
    assert sketch_of(rows(1, 2)) != sketch_of(rows(1, 3))
    assert sketch_of([]) == ""


def test_of_a_set_half_of_which_is_new_each_half_has_its_own_level():
    found = wear(judged(*[range(2_000)] * 3), range(1_000, 3_000))
    assert found.fresh == pytest.approx(0.5, abs=0.12)
    assert found.looks == pytest.approx(1.5, abs=0.36)
    expected = found.fresh * 0.025 + (1 - found.fresh) * 0.025 / 29
    assert found.level(alpha=0.05, life=30) == pytest.approx(expected)


def test_a_set_of_few_rows_is_known_exactly():
    looks = judged(range(40), range(10, 50))
    assert wear(looks, range(60)).shares == {0: 10 / 60, 1: 20 / 60, 2: 30 / 60}


def test_a_smaller_set_than_before_is_known_by_the_rows_that_the_larger_one_told_of():
    looks = judged(range(20_000))
    assert wear(looks, range(5_000)).shares == {1: 1.0}
    assert wear(looks, range(20_000, 25_000)).shares == {0: 1.0}
    assert len(looks.rows) == SKETCHED


def test_the_day_of_the_first_look_at_any_of_the_rows_is_known():
    looks = Looks()
    for day, numbers in (("2026-04-01", range(40)), ("2026-04-13", range(20, 60))):
        looks.count(str(sorted(numbers)), sketch_of(rows(*numbers)), day)
    kept = Looks.from_json(looks.to_json())
    for known in (looks, kept, kept.copy()):
        asked = (range(40), range(20, 60), range(40, 60), range(30, 90), range(60, 90))
        assert [wear(known, numbers).since for numbers in asked] == [
            "2026-04-01", "2026-04-01", "2026-04-13", "2026-04-01", "",
        ]  # fmt: skip


def test_of_rows_that_judged_before_days_were_kept_no_day_is_said():
    old = Looks.from_json(
        {key: v for key, v in judged(range(40)).to_json().items() if key != "first"}
    )
    old.count(str(list(range(60))), sketch_of(rows(*range(60))), "2026-04-13")
    assert wear(old, range(60)).since == ""
    assert wear(old, range(40, 60)).since == "2026-04-13"


def test_days_of_rows_that_are_no_longer_counted_are_let_go():
    looks = Looks()
    for day, many in (("2026-04-01", 300), ("2026-04-02", 20_000)):
        looks.count(str(many), sketch_of(rows(*range(many))), day)
    assert set(looks.first) == {*looks.rows, *looks.sets}


CHANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(20, 80)), min_size=1, max_size=60)


@given(sets=CHANGES, alpha=st.floats(0.01, 0.2), life=st.integers(1, 12))
def test_however_rows_come_and_go_a_sets_worth_of_them_spends_no_more_than_alpha(sets, alpha, life):
    looks, spent, seen = Looks(), 0.0, set()
    for first, many in sets:
        numbers = range(first, first + many)
        spent += wear(looks, numbers).level(alpha=alpha, life=life)
        looks.count(str(sorted(numbers)), sketch_of(rows(*numbers)))
        seen |= set(numbers)
    assert spent <= alpha * len(seen) / min(many for _, many in sets) + 1e-9


@given(shares=st.lists(st.integers(0, 40), min_size=1, max_size=50), life=st.integers(1, 30))
def test_worn_rows_may_go_on_at_their_last_level(shares, life):
    of = Wear.of(shares)
    last = level_of(life, alpha=0.05, life=life)
    assert of.level(alpha=0.05, life=life, stops=False) >= last - 1e-12
    assert of.level(alpha=0.05, life=life) <= of.level(alpha=0.05, life=life, stops=False) + 1e-12


@pytest.mark.parametrize("shares", [{}, {0: 0.5}, {-1: 1.0}, {0: 0.5, 3: 0.6}])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="wear: expected shares that sum to 1"):
        Wear(shares)


def test_what_earlier_versions_kept_is_read_and_their_looks_still_count():
    old = Looks.from_json({"looks": {"t1": 4}})
    sketch = sketch_of(rows(*range(500)))
    assert old.wear("t1", sketch).shares == {4: 1.0}
    old.count("t1", sketch)
    assert old.wear("t1", sketch).shares == {5: 1.0}
    assert old.wear("t2", sketch).shares == {1: 1.0}
    assert Looks.from_json(old.to_json()) == old
