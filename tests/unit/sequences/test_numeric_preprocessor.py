"""Series in, scaled steps with a presence channel out."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import ConfigError, Preprocessing
from tasks.sequences import SCALERS
from tasks.sequences.preprocessor import fit_preprocessor, preprocessor_from_json

STEPS = pa.list_(pa.list_(pa.float32()))
VALUES = st.none() | st.floats(width=32, allow_nan=True, allow_infinity=True)
SERIES = st.lists(
    st.none() | st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=4), max_size=6
)
GROWING = [[[0.0, 5.0], [2.0, 5.0]], [[4.0, 5.0]]]


def frame_of(rows):
    series = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(rows, STEPS)))
    return pd.DataFrame({"row_id": [f"r{n}" for n in range(len(rows))], "series": series})


def fitted(rows, **preprocessing):
    return fit_preprocessor("numeric", Preprocessing(**preprocessing), frame_of(rows))


def test_channels_are_centred_and_scaled_and_presence_is_last():
    encoded = fitted(GROWING).encode(frame_of(GROWING))
    assert encoded.lengths.tolist() == [2, 1]
    assert encoded.values.dtype == np.float32
    spread = np.std([0, 2, 4])
    expected = [[-2 / spread, 0, 1], [0, 0, 1], [2 / spread, 0, 1]]
    assert encoded.values == pytest.approx(np.array(expected), abs=1e-6)


def test_robust_scaling_is_not_moved_by_one_extreme_value():
    rows = [[[float(value)] for value in range(9)]]
    calm = fitted(rows, scaling="robust").to_json()
    wild = fitted([[*rows[0][:-1], [1e9]]], scaling="robust").to_json()
    assert (calm["center"], calm["scale"]) == (wild["center"], wild["scale"]) == ([4.0], [4.0])


def test_no_scaling_leaves_the_values():
    assert fitted(GROWING, scaling="none").encode(frame_of(GROWING)).values[:, 0].tolist() == [
        0,
        2,
        4,
    ]


@pytest.mark.parametrize("scaling", SCALERS)
def test_a_constant_channel_divides_by_nothing(scaling):
    rows = [[[0.1]] * 7]
    assert fitted(rows, scaling=scaling).to_json()["scale"] == [1.0]


def test_missing_values_become_zero_with_an_indicator_before_presence():
    rows = [[[1.0, None], [3.0, 4.0]], [[float("nan"), 6.0], [float("inf"), 5.0]]]
    preprocessor = fitted(rows)
    assert preprocessor.to_json()["indicated"] == [0, 1]
    values = preprocessor.encode(frame_of(rows)).values
    assert values[:, 2:].tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 1]]
    assert values[0, 1] == values[2, 0] == values[3, 0] == 0


def test_no_indicator_where_train_rows_miss_nothing_and_later_gaps_are_zero():
    preprocessor = fitted(GROWING)
    assert preprocessor.spec.size == 3
    assert preprocessor.encode(frame_of([[[None, 5.0]]])).values.tolist() == [[0, 0, 1]]


def test_a_channel_that_is_missing_everywhere_is_zero():
    preprocessor = fitted([[[None, 1.0], [None, 2.0]]])
    assert preprocessor.encode(frame_of([[[9.0, 1.5]]])).values.tolist() == [[9, 0, 0, 1]]


def test_series_are_cut_before_scaling_is_learnt_and_when_encoded():
    rows = [[[1.0], [3.0], [1e6]]]
    preprocessor = fitted(rows, max_length=2)
    assert preprocessor.to_json()["center"] == [2.0]
    assert preprocessor.encode(frame_of(rows)).lengths.tolist() == [2]


def test_missing_and_empty_series_have_length_zero():
    assert fitted(GROWING).encode(frame_of([None, [], GROWING[0]])).lengths.tolist() == [0, 0, 2]


@pytest.mark.parametrize("scaling", SCALERS)
def test_whatever_comes_in_finite_numbers_go_out(scaling):
    @settings(deadline=None)
    @given(SERIES)
    def check(rows):
        preprocessor = fitted(GROWING, scaling=scaling)
        encoded = preprocessor.encode(frame_of(rows))
        assert encoded.lengths.tolist() == [len(row or []) for row in rows]
        assert np.isfinite(encoded.values).all()
        assert np.abs(encoded.values**3).max(initial=0) < np.inf
        assert (encoded.values[:, -1] == 1).all()

    check()


@pytest.mark.parametrize("scaling", SCALERS)
def test_whatever_it_was_fitted_on_it_survives_json_exactly(scaling):
    @settings(deadline=None)
    @given(SERIES)
    def check(rows):
        preprocessor = fitted([*GROWING, *rows], scaling=scaling)
        loaded = preprocessor_from_json(json.loads(json.dumps(preprocessor.to_json())))
        assert loaded.to_json() == preprocessor.to_json()
        assert loaded.spec == preprocessor.spec
        ours, theirs = preprocessor.encode(frame_of(rows)), loaded.encode(frame_of(rows))
        assert ours.values.tobytes() == theirs.values.tobytes()

    check()


def test_a_huge_value_is_cut_where_a_model_can_still_count_with_it():
    encoded = fitted(GROWING).encode(frame_of([[[3e38, -3e38]]]))
    assert encoded.values.tolist() == [[pytest.approx(1e12), pytest.approx(-1e12), 1]]


def test_plain_lists_are_read_like_arrow_columns():
    plain = pd.DataFrame({"series": [[[0.0, 5.0]], [[4.0, None]]]})
    assert fitted(GROWING).encode(plain).lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    "bad", [[[1.0, 2.0], [1.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]], [[1.0, 2.0], None]]
)
def test_another_number_of_channels_is_refused_with_row_and_step_named(bad):
    with pytest.raises(ValueError, match="row 'r2', step 1: must have 2 channels"):
        fitted(GROWING).encode(frame_of([[], GROWING[0], bad]))


def test_uneven_train_rows_are_refused_too():
    with pytest.raises(ValueError, match="row 'r1', step 0: must have 2 channels"):
        fitted([[[1.0, 2.0]], [[1.0]]])


def test_values_that_are_no_lists_of_numbers_are_refused():
    with pytest.raises(ValueError, match="list of steps"):
        fitted(GROWING).encode(pd.DataFrame({"series": ["text"]}))
    with pytest.raises(ValueError, match="need the column 'series'"):
        fitted(GROWING).encode(pd.DataFrame({"text": ["text"]}))


def test_train_rows_without_a_step_are_refused():
    with pytest.raises(ValueError, match="at least one step"):
        fitted([[], None])


def test_a_misspelt_scaler_names_the_right_one():
    with pytest.raises(ConfigError, match="did you mean 'robust'"):
        fitted(GROWING, scaling="robst")
