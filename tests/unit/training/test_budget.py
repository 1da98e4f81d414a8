"""Epoch caps are step budgets: a small set is passed more often."""

from hypothesis import given
from hypothesis import strategies as some

from tasks.config import Training
from tasks.training.budget import passes_an_epoch


def updates(rows, settings, passes):
    return settings.epochs * passes * -(-rows // settings.batch_size)


@given(
    rows=some.integers(1, 100_000),
    epochs=some.integers(1, 50),
    batch_size=some.integers(1, 512),
    min_updates=some.integers(0, 5_000),
)
def test_the_updates_asked_for_fit_and_with_a_pass_less_would_not(
    rows, epochs, batch_size, min_updates
):
    settings = Training(epochs=epochs, batch_size=batch_size, min_updates=min_updates)
    passes = passes_an_epoch(rows, settings)
    assert updates(rows, settings, passes) >= min_updates
    assert passes == 1 or updates(rows, settings, passes - 1) < min_updates


def test_a_large_set_is_passed_once_an_epoch():
    assert passes_an_epoch(1_000_000, Training()) == 1
