import pandas as pd
import pytest

from tasks.config import Columns
from tasks.inference.raw import RawClassifier, canonical_inputs

TEXT = Columns(label="topic", text="body", id="ticket")
SERIES = Columns(label="topic", sequence=("left", "right"), id="ticket", step="minute")


def test_text_comes_from_the_column_of_the_source():
    frame = canonical_inputs(pd.DataFrame({"body": ["a b", None], "other": [1, 2]}), TEXT)
    assert frame.columns.tolist() == ["text"]
    assert frame["text"].isna().tolist() == [False, True]


def test_channels_become_steps_even_where_the_source_writes_one_row_a_step():
    columns = RawClassifier(None, SERIES).columns
    raw = pd.DataFrame({"left": [[1.0, 2.0], [3.0]], "right": [[4.0, 5.0], [6.0]]})
    series = canonical_inputs(raw, columns)["series"]
    assert [[list(step) for step in row] for row in series] == [[[1, 4], [2, 5]], [[3, 6]]]


def test_rows_of_one_column_a_step_are_asked_for_as_lists():
    wide = Columns(label="topic", sequence=("series",), wide=("v1", "v2"))
    raw = pd.DataFrame({"series": [[1.0, 2.0], [3.0]]})
    series = canonical_inputs(raw, RawClassifier(None, wide).columns)["series"]
    assert [[list(step) for step in row] for row in series] == [[[1], [2]], [[3]]]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="column 'body' is missing; rows need body, got text"):
        canonical_inputs(pd.DataFrame({"text": ["a"]}), TEXT)


def test_channels_of_unequal_length_are_refused_by_row():
    columns = RawClassifier(None, SERIES).columns
    raw = pd.DataFrame({"left": [[1.0, 2.0]], "right": [[4.0]]})
    with pytest.raises(ValueError, match="row 0: 'right' has 1 steps"):
        canonical_inputs(raw, columns)


def test_a_row_without_input_is_named():
    with pytest.raises(ValueError, match="row 1: no body; 1 of 2 rows have no input"):
        RawClassifier(None, TEXT).predict(pd.DataFrame({"body": ["a", None]}))
