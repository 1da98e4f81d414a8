import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_registry.spending import level_of


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
