import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm as normal
from sklearn import metrics as reference

from model_registry import statistics
from model_registry.errors import GateError
from model_registry.statistics import METRICS, paired_difference, value

REFERENCES = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_f1": lambda true, said: reference.f1_score(true, said, average="macro"),
    "mcc": reference.matthews_corrcoef,
    "weighted_f1": lambda true, said: reference.f1_score(true, said, average="weighted"),
}


def rows(count, classes, right, rng):
    labels = rng.integers(0, classes, count)
    noise = rng.integers(0, classes, count)
    return labels, *(np.where(rng.random(count) < share, labels, noise) for share in right)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_metric_equals_scikit_learns(metric, data):
    shape = data.draw(st.integers(1, 40))
    true, said = (
        data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 4))) for _ in range(2)
    )
    expected = REFERENCES[metric](true, said)
    assert value(metric, true, said, 5) == pytest.approx(expected, abs=1e-12)


def test_drawing_counts_agrees_with_drawing_rows():
    """The multinomial shortcut against a plain stratified bootstrap over rows."""
    rng = np.random.default_rng(3)
    labels, first, second = rows(400, 4, (0.8, 0.7), rng)
    fast = paired_difference(
        labels, first, second, classes=4, metric="macro_f1", samples=4_000, seed=5
    )
    groups = [np.flatnonzero(labels == c) for c in range(4)]
    plain = []
    for _ in range(1_500):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        plain.append(
            value("macro_f1", labels[drawn], first[drawn], 4)
            - value("macro_f1", labels[drawn], second[drawn], 4)
        )
    low, high = np.quantile(plain, [0.025, 0.975])
    assert fast.low == pytest.approx(low, abs=0.01)
    assert fast.high == pytest.approx(high, abs=0.01)


def test_swapping_the_models_turns_the_sign():
    labels, first, second = rows(300, 3, (0.8, 0.6), np.random.default_rng(0))
    one = paired_difference(labels, first, second, classes=3, metric="mcc", seed=1)
    two = paired_difference(labels, second, first, classes=3, metric="mcc", seed=1)
    assert one.difference == -two.difference
    assert one.low > 0 > two.high
    assert one.p < 0.01
    assert two.p < 0.01


def test_the_same_seed_gives_the_same_interval():
    labels, first, second = rows(300, 3, (0.8, 0.75), np.random.default_rng(0))
    one, two, other = (
        paired_difference(labels, first, second, classes=3, metric="macro_f1", seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        labels, first, second = rows(500, 4, (0.8, 0.7), np.random.default_rng(seed))
        found = paired_difference(
            labels, first, second, classes=4, metric="accuracy", samples=300, seed=seed
        )
        covered += found.low <= 0.1 * 0.75 <= found.high
    assert covered >= 180


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "mcc"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing(metric, seed):
    rng = np.random.default_rng(seed)
    labels, first, second = rows(120, 3, (0.8, 0.7), rng)
    order = rng.permutation(120)
    given = {"classes": 3, "metric": metric, "samples": 100}
    straight = paired_difference(labels, first, second, **given)
    mixed = paired_difference(labels[order], first[order], second[order], **given)
    assert straight == mixed


def test_the_error_of_accuracy_is_the_one_of_paired_proportions():
    """sqrt(discordant share less difference squared, by rows), drawn within one class."""
    right, wrong = np.zeros(1_000, np.int64), np.ones(1_000, np.int64)
    place = np.arange(1_000)
    first = np.where(place < 860, right, wrong)
    second = np.where((place < 800) | (place >= 960), right, wrong)
    found = paired_difference(
        right, first, second, classes=2, metric="accuracy", samples=4_000, seed=2
    )
    assert found.difference == pytest.approx(0.02)
    assert found.error == pytest.approx(np.sqrt(0.1 / 1_000), rel=0.05)
    assert found.p == pytest.approx(2 * normal.sf(0.02 / np.sqrt(0.1 / 1_000)), abs=0.01)


def test_a_class_of_one_row_that_changed_sides_is_not_certain():
    """A bootstrap inside that class has no variance at all; swapping the answers has."""
    labels = np.array([0] * 200 + [1])
    first, second = labels.copy(), labels.copy()
    second[-1] = 0
    found = paired_difference(labels, first, second, classes=2, metric="macro_f1", samples=500)
    assert found.difference > 0.4
    assert found.at_least(0.05) < 0


def test_models_that_never_disagreed_may_do_so_on_other_rows():
    labels = np.arange(40) % 4
    found = paired_difference(labels, labels, labels, classes=4, metric="accuracy")
    assert found.error == pytest.approx(np.sqrt(2) / 40)
    assert (found.low, found.high) == pytest.approx((-0.0693, 0.0693), abs=1e-4)
    assert found.at_least(0.025) < -0.06
    assert found.power(0.02, 0.025) < 0.2


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("count", [40, 100, 300])
@pytest.mark.parametrize("right", [0.98, 0.9])
def test_a_true_loss_is_hardly_ever_excluded(metric, count, right):
    """The first model loses two rows in a hundred and gains one: it is worse by a hundredth."""
    rng, excluded = np.random.default_rng(0), 0
    for seed in range(300):
        labels, drawn = rng.integers(0, 3, count), rng.random(count)
        second = np.where(rng.random(count) < right, labels, (labels + 1) % 3)
        lost = (second == labels) & (drawn < 0.02 / right)
        gained = (second != labels) & (drawn < 0.01 / (1 - right))
        first = np.where(lost, (labels + 2) % 3, np.where(gained, labels, second))
        found = paired_difference(
            labels, first, second, classes=3, metric=metric, samples=200, seed=seed
        )
        excluded += found.at_least(0.025) > -0.01
    assert excluded <= 0.05 * 300


@settings(max_examples=50)
@given(
    level=st.floats(1e-6, 0.4),
    other=st.floats(1e-6, 0.4),
    size=st.floats(0.001, 0.2),
)
def test_bounds_and_rows_move_as_they_should(level, other, size):
    labels, first, second = rows(300, 3, (0.8, 0.75), np.random.default_rng(0))
    found = paired_difference(labels, first, second, classes=3, metric="accuracy", samples=100)
    strict, lax = sorted((level, other))
    assert found.at_least(strict) <= found.at_least(lax) <= found.difference
    assert found.at_most(strict) >= found.at_most(lax) >= found.difference
    assert found.rows_to_see(size, strict) >= found.rows_to_see(size, lax)
    assert found.rows_to_see(size, level) >= found.rows_to_see(2 * size, level)
    assert found.power(size, strict) <= found.power(size, lax) <= found.power(2 * size, lax)


def test_nothing_can_be_shown_at_level_zero():
    labels, first, second = rows(300, 3, (0.9, 0.5), np.random.default_rng(0))
    found = paired_difference(labels, first, second, classes=3, metric="accuracy", samples=100)
    assert found.at_least(0) == -np.inf
    assert found.power(0.5, 0) == 0
    assert found.rows_to_see(0.1, 0) == 0


def test_an_answer_beyond_the_classes_is_wrong_and_no_class_of_its_own():
    labels = np.array([0, 0, 1, 1])
    said = np.array([0, 2, 1, 1])
    assert value("accuracy", labels, said, 2) == 0.75
    assert value("macro_f1", labels, said, 2) == pytest.approx((2 / 3 + 1) / 2)
    assert value("balanced_accuracy", labels, said, 2) == 0.75
    three = reference.matthews_corrcoef(labels, said)
    assert value("mcc", labels, said, 2) == pytest.approx(three)


def test_many_classes_and_many_rows_are_compared_in_pieces(monkeypatch):
    """What does not fit into memory at once is drawn piece by piece."""
    labels, first, second = rows(600, 20, (0.8, 0.6), np.random.default_rng(0))
    given = {"classes": 20, "metric": "macro_f1", "samples": 300}
    whole = paired_difference(labels, first, second, **given)
    monkeypatch.setattr(statistics, "CELLS_AT_ONCE", 20 * 20 * 7)
    pieces = paired_difference(labels, first, second, **given)
    assert pieces.difference == whole.difference
    assert pieces.error == pytest.approx(whole.error, rel=0.2)


def test_no_rows_and_other_rows_are_refused():
    none = np.array([], np.int64)
    with pytest.raises(GateError, match="0 labels"):
        paired_difference(none, none, none, classes=2, metric="accuracy")
    with pytest.raises(GateError, match="3 labels, 3 and 2 predictions"):
        paired_difference(
            np.zeros(3, int), np.zeros(3, int), np.zeros(2, int), classes=2, metric="accuracy"
        )


def test_an_unknown_metric_names_those_there_are():
    one = np.zeros(3, np.int64)
    with pytest.raises(GateError, match="'auc': cannot be compared; use one of accuracy"):
        paired_difference(one, one, one, classes=2, metric="auc")
