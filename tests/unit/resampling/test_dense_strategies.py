"""New series between neighbours: their form, and what happens when a class is too small."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Choice, ConfigError
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.resampling import DENSE
from tasks.resampling.apply import resample
from tasks.resampling.balanced import ResamplingError
from tasks.resampling.flattening import flattened, synthetic

CLASSES = ("a", "b", "c")
SPEC = InputSpec("numeric", 3)


def rows(counts, shift=1.0, seed=0, lengths=(2, 6)):
    """Series of one value, one 0/1 channel and presence."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    made = []
    for label in labels:
        steps = np.ones((generator.integers(*lengths), 3), np.float32)
        steps[:, 0] = generator.normal(shift * label, 1, len(steps))
        steps[:, 1] = generator.integers(0, 2, len(steps))
        made.append(steps)
    return Examples(Ragged.of(made), labels, np.arange(len(labels)).astype(str))


def after(name, examples, **options):
    return resample(examples, Choice(name=name, options=options), CLASSES, SPEC, seed=2)


def made_by(result):
    return result.examples.take(
        np.flatnonzero([name.startswith("synthetic") for name in result.examples.row_ids])
    )


def test_smote_fills_every_class_with_new_rows():
    result = after("smote", rows([30, 12, 8]))
    assert result.after == {"a": 30, "b": 30, "c": 30}
    assert result.notes == ()
    assert len(made_by(result)) == 18 + 22


@pytest.mark.parametrize("name", DENSE)
def test_new_rows_are_present_binary_and_no_longer_than_old_ones(name):
    examples = rows([30, 12, 8], shift=0.4)
    made = made_by(after(name, examples))
    assert len(made) > 0
    assert set(np.unique(made.inputs.values[:, 1:])) <= {0.0, 1.0}
    assert (made.inputs.values[:, 2] == 1).all()
    assert made.inputs.lengths.max() <= examples.inputs.lengths.max()
    assert made.inputs.lengths.min() >= examples.inputs.lengths.min()


STEPS = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=5)


@settings(deadline=None)
@given(STEPS, STEPS, st.floats(0, 1))
def test_a_new_row_has_the_length_of_the_nearer_parent_and_values_between_both(one, other, share):
    parents = [
        np.column_stack([steps, np.ones(len(steps))]).astype(np.float32) for steps in (one, other)
    ]
    inputs = Ragged.of(parents)
    table = flattened(inputs)
    between = (table[:1] + np.float32(share) * (table[1:] - table[:1])).astype(np.float32)
    made = synthetic(between, 1, inputs)
    if abs(share - 0.5) > 1e-6:
        assert made.inputs.lengths[0] == len(one if share < 0.5 else other)
    assert (made.inputs.values[:, 1] == 1).all()
    for number, value in enumerate(made.inputs.values[:, 0]):
        choices = [parent[number, 0] for parent in parents if number < len(parent)]
        assert min(choices) - 1e-3 <= value <= max(choices) + 1e-3


@pytest.mark.parametrize("name", DENSE)
def test_a_class_too_small_has_its_rows_repeated_and_says_so(name):
    result = after(name, rows([30, 12, 3], shift=0.6))
    assert "5 neighbours need 6 rows of a class; class 'c' has 3: rows repeated instead" in (
        result.notes
    )
    assert result.after["c"] > 3
    repeated = result.examples.take(np.flatnonzero(result.examples.labels == 2))
    assert not any(name.startswith("synthetic") for name in repeated.row_ids)


@pytest.mark.parametrize("name", DENSE)
def test_a_class_too_small_can_be_left_or_stop_the_candidate(name):
    examples = rows([30, 12, 3], shift=0.6)
    left = after(name, examples, too_small="skip")
    assert 1 <= left.after["c"] <= 3
    assert any("'c' has 3: left as it is" in note for note in left.notes)
    with pytest.raises(ResamplingError, match=r"need 6 rows of a class; class 'c' has 3"):
        after(name, examples, too_small="error")


def test_fewer_neighbours_serve_a_small_class():
    assert after("smote", rows([30, 12, 3]), k_neighbors=2).notes == ()


def test_a_single_row_is_repeated():
    assert after("smote", rows([9, 9, 1])).after == {"a": 9, "b": 9, "c": 9}


def test_adasyn_makes_nothing_where_nothing_is_hard_and_says_so():
    far_apart = rows([30, 12, 8], shift=1_000, lengths=(3, 4))
    result = after("adasyn", far_apart)
    assert result.after == {"a": 30, "b": 12, "c": 8}
    assert len(result.notes) == 2
    assert all("no new rows" in note for note in result.notes)


def test_borderline_smote_makes_nothing_without_a_border_and_says_so():
    result = after("borderline_smote", rows([30, 20, 15], shift=1_000, lengths=(3, 4)))
    assert result.after == {"a": 30, "b": 20, "c": 15}
    assert [note for note in result.notes if "near another class" in note] == list(result.notes)
    assert len(result.notes) == 2


def test_cleaning_removes_rows_between_classes():
    examples = rows([40, 40, 40], shift=0.5)
    for name in ("smote_tomek", "smote_enn"):
        assert sum(after(name, examples).after.values()) < 120


def test_cleaning_never_removes_a_class():
    examples = rows([60, 4, 4], shift=0.0, lengths=(1, 2))
    result = after("smote_enn", examples, too_small="skip", n_neighbors=5)
    assert result.after["b"] == result.after["c"] == 4
    assert sum("kept whole" in note for note in result.notes) == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [({"k_neighbors": 0}, "k_neighbors"), ({"too_small": "skp"}, "skip"), ({"ratio": 2}, "ratio")],
)
@pytest.mark.parametrize("name", DENSE)
def test_options_that_do_not_fit_are_refused(name, options, named):
    with pytest.raises(ConfigError, match=named):
        after(name, rows([8, 4, 4]), **options)


def test_broken_numbers_are_an_error_and_not_a_note():
    examples = rows([30, 12, 8])
    examples.inputs.values[3, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        after("smote", examples)
