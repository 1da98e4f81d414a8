"""Which epoch is kept, where the metric of few rows is noise in part."""

import keras
import numpy as np
import pytest

from tasks.training.callbacks import Validate

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def kept(measured, *, judged, patience=99):
    """Best epoch and how many there were, given each epoch's loss and metric."""
    said = iter(measured)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    best = Validate(
        lambda: next(said), patience=patience, rows=4, judged=judged, on_epoch=lambda epoch: None
    )
    rows = np.ones((4, 1), np.float32)
    model.fit(rows, rows, epochs=len(measured), callbacks=[best], verbose=0)
    return best.best, len(best.epochs)


def test_of_epochs_within_a_standard_error_the_one_with_the_lowest_loss_is_kept():
    measured = [(0.93, 0.649), (0.75, 0.638), (0.74, 0.636), (0.75, 0.624)]
    assert kept(measured, judged=560) == (2, 4)


def test_with_many_rows_the_same_difference_counts():
    measured = [(0.93, 0.649), (0.75, 0.638), (0.74, 0.636), (0.75, 0.624)]
    assert kept(measured, judged=56_000) == (0, 4)


def test_an_epoch_far_above_is_kept_whatever_its_loss():
    assert kept([(0.5, 0.6), (0.9, 0.8), (0.4, 0.7)], judged=500) == (1, 3)


def test_an_epoch_that_falls_behind_a_later_height_is_given_up():
    assert kept([(0.5, 0.60), (0.6, 0.615), (0.7, 0.63), (0.8, 0.645)], judged=600) == (2, 4)


def test_patience_counts_from_the_epoch_that_is_kept():
    assert kept([(0.5, 0.6), *[(0.6, 0.6)] * 5], judged=100, patience=2) == (0, 3)
