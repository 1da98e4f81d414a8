"""What every resampling strategy owes, for each entry of the table, and the checks checked."""

import dataclasses

import numpy as np
import pytest

from tasks.config import Choice, ConfigError
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.resampling import DENSE, INDEX, STRATEGIES, index
from tasks.resampling.apply import refuse, resample
from tasks.resampling.balanced import Balanced, ResamplingError

CLASSES = ("common", "rare", "rarest")
TEXT, NUMERIC = InputSpec("text", 50), InputSpec("numeric", 3)
SHIFTS = np.array([0.0, 1.2, 2.4])


def train_rows(spec, counts=(60, 25, 9), seed=4):
    """Overlapping classes, rows of unequal length, one of them empty; nothing can be written."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(3), counts)).astype(np.int32)
    lengths = generator.integers(1, 7, len(labels))
    lengths[np.flatnonzero(labels == 0)[0]] = 0
    if spec is TEXT:
        rows = [generator.integers(1, 50, length).astype(np.int32) for length in lengths]
    else:
        rows = [
            series(generator, length, SHIFTS[k]) for length, k in zip(lengths, labels, strict=True)
        ]
    names = np.array([f"row-{number}" for number in range(len(labels))])
    examples = Examples(Ragged.of(rows), labels, names)
    for array in (examples.inputs.values, examples.inputs.offsets, labels, names):
        array.flags.writeable = False
    return examples


def series(generator, length, shift):
    steps = np.ones((length, 3), np.float32)
    steps[:, :2] = generator.normal(shift, 1.0, (length, 2))
    return steps


def applied(name, examples, spec, seed=1, table=STRATEGIES, **options):
    return resample(
        examples, Choice(name=name, options=options), CLASSES, spec, seed=seed, table=table
    )


def content(examples):
    """Row id to its label and steps, for comparing."""
    rows = zip(
        examples.row_ids.tolist(),
        examples.labels.tolist(),
        examples.inputs.offsets[:-1],
        examples.inputs.offsets[1:],
        strict=True,
    )
    return [(name, k, examples.inputs.values[a:b].tobytes()) for name, k, a, b in rows]


def check_train_rows_only(result, given):
    """Rows are those given, whole and with their label, or new and named as such."""
    known, seen = {name: (k, steps) for name, k, steps in content(given)}, set()
    for name, label, steps in content(result.examples):
        if name in known:
            assert known[name] == (label, steps)
        else:
            assert name.startswith("synthetic-")
            assert name not in seen
            seen.add(name)


def check_sound(result, given, spec):
    """Labels are classes that were there, inputs keep type and form, weights fit."""
    assert set(result.examples.labels.tolist()) == set(given.labels.tolist())
    assert result.examples.labels.dtype == np.int32
    values = result.examples.inputs.values
    assert values.dtype == given.inputs.values.dtype
    assert values.shape[1:] == given.inputs.values.shape[1:]
    assert np.isfinite(values).all()
    assert len(result.examples.inputs) == len(result.examples) == len(result.examples.row_ids)
    if spec is NUMERIC:
        assert (values[:, -1] == 1).all()
    if result.weights is not None:
        assert result.weights.shape == (len(result.examples),)
        assert result.weights.dtype == np.float32
        assert result.weights.min() > 0
        assert result.weights.mean() == pytest.approx(1, rel=1e-5)


def check_counted(result, given):
    """What it says it did is what it did."""
    assert list(result.before) == list(result.after) == list(CLASSES)
    for counts, examples in ((result.before, given), (result.after, result.examples)):
        assert list(counts.values()) == np.bincount(examples.labels, minlength=3).tolist()


def check_repeatable(first, second):
    """One seed, one result."""
    assert content(first.examples) == content(second.examples)
    assert (first.weights is None) == (second.weights is None)
    if first.weights is not None:
        assert np.array_equal(first.weights, second.weights)


def check(name, spec, table=STRATEGIES):
    given = train_rows(spec)
    untouched = content(given)
    result = applied(name, given, spec, table=table)
    assert content(given) == untouched
    check_train_rows_only(result, given)
    check_sound(result, given, spec)
    check_counted(result, given)
    check_repeatable(result, applied(name, given, spec, table=table))


SERVED = [(name, NUMERIC) for name in STRATEGIES] + [(name, TEXT) for name in INDEX]


@pytest.mark.parametrize(("name", "spec"), SERVED)
def test_a_strategy_gives_sound_repeatable_counted_train_rows(name, spec):
    check(name, spec)


@pytest.mark.parametrize(("name", "spec"), SERVED)
def test_a_strategy_never_gives_a_row_it_was_not_given(name, spec):
    everything = train_rows(spec)
    train = everything.take(np.flatnonzero(np.arange(len(everything)) % 4 > 0))
    held_back = set(everything.row_ids.tolist()) - set(train.row_ids.tolist())
    result = applied(name, train, spec)
    assert not held_back & set(result.examples.row_ids.tolist())


@pytest.mark.parametrize(("name", "spec"), SERVED)
def test_no_strategy_makes_classes_less_alike(name, spec):
    given = train_rows(spec)
    result = applied(name, given, spec)
    weights = np.ones(len(result.examples)) if result.weights is None else result.weights
    mass = np.bincount(result.examples.labels, weights)
    assert mass.min() / mass.max() >= 9 / 60
    if name != "none":
        assert mass.min() / mass.max() > 9 / 60


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_balanced_set_stays_whole(name):
    given = train_rows(NUMERIC, (20, 20, 20))
    result = applied(name, given, NUMERIC)
    assert not [n for n in result.examples.row_ids.tolist() if n.startswith("synthetic")]
    if name not in ("smote_tomek", "smote_enn"):
        assert content(result.examples) == content(given)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "none"])
def test_one_class_only_is_refused(name):
    given = train_rows(NUMERIC)
    alone = given.take(np.flatnonzero(given.labels == 1))
    with pytest.raises(ResamplingError, match=r"two classes, got \{'common': 0, 'rare': 25"):
        applied(name, alone, NUMERIC)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_class_without_rows_is_counted_and_stays_without(name):
    given = train_rows(NUMERIC)
    two = given.take(np.flatnonzero(given.labels != 1))
    assert applied(name, two, NUMERIC).after["rare"] == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_rows_mapped_from_disk_serve_as_well(name, tmp_path):
    given = train_rows(NUMERIC)
    given.save(tmp_path)
    check_repeatable(applied(name, given, NUMERIC), applied(name, Examples.load(tmp_path), NUMERIC))


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_strategy_on_text_is_refused_with_the_reason_and_what_to_use(name):
    with pytest.raises(ConfigError, match=r"unrelated word.*random_over.*class_weights"):
        applied(name, train_rows(TEXT), TEXT)
    with pytest.raises(ConfigError, match=name):
        refuse(Choice(name=name), "text")
    refuse(Choice(name=name), "numeric")


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ConfigError, match=r"unknown option 'n_neighbours'"):
        applied(name, train_rows(NUMERIC), NUMERIC, n_neighbours=3)


def _shifted(examples, classes, seed):
    return Balanced(dataclasses.replace(examples, row_ids=np.char.add("other-", examples.row_ids)))


def _relabelled(examples, classes, seed):
    return Balanced(dataclasses.replace(examples, labels=(examples.labels + 1) % 3))


def _invented(examples, classes, seed):
    return Balanced(dataclasses.replace(examples, labels=examples.labels + np.int32(1)))


def _forgetful(examples, classes, seed):
    return Balanced(examples.take(np.flatnonzero(examples.labels < 2)))


def _careless(examples, classes, seed):
    values = np.where(examples.inputs.values > 2, np.float32(np.nan), examples.inputs.values)
    return Balanced(dataclasses.replace(examples, inputs=Ragged(values, examples.inputs.offsets)))


def _fickle(examples, classes, seed):
    return index.random_over(examples, classes, int(np.random.default_rng().integers(2**31)))


def _heavy(examples, classes, seed):
    return Balanced(examples, np.full(len(examples), 3, np.float32))


BROKEN = [_shifted, _relabelled, _forgetful, _careless, _fickle, _heavy, _invented]


@pytest.mark.parametrize("strategy", BROKEN, ids=lambda strategy: strategy.__name__[1:])
def test_the_checks_find_a_broken_strategy(strategy):
    with pytest.raises(AssertionError):
        check("broken", NUMERIC, table={"broken": strategy})


def test_the_checks_find_a_strategy_that_writes_into_its_rows():
    def writes(examples, classes, seed):
        examples.inputs.values[0] = 7
        return Balanced(examples)

    with pytest.raises(ValueError, match="read-only"):
        check("writes", NUMERIC, table={"writes": writes})
