import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.register import in_classes

NAMES = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=7, unique=True)


@given(known=NAMES, wanted=NAMES, seed=st.integers(0, 99))
def test_every_answer_still_sums_to_one_over_the_classes_both_know(known, wanted, seed):
    answers = np.random.default_rng(seed).dirichlet(np.ones(len(known)), 5).astype(np.float32)
    found = in_classes(answers, known, wanted)
    assert found.shape == (5, len(wanted))
    for column, name in enumerate(wanted):
        assert np.isnan(found[:, column]).all() == (name not in known)
    if set(known) & set(wanted):
        np.testing.assert_allclose(np.nansum(found, axis=1), 1, rtol=1e-5)


def test_the_same_classes_in_another_order_are_the_same_answers():
    answers = np.array([[0.7, 0.2, 0.1]], np.float32)
    assert in_classes(answers, ["a", "b", "c"], ["c", "a", "b"]).tolist() == [
        [np.float32(0.1), np.float32(0.7), np.float32(0.2)]
    ]


def test_a_row_that_went_to_a_class_nobody_wants_is_shared_out():
    found = in_classes(np.array([[1.0, 0.0, 0.0]], np.float32), ["x", "a", "b"], ["a", "b", "new"])
    assert found[0, :2].tolist() == [0.5, 0.5]
    assert np.isnan(found[0, 2])
