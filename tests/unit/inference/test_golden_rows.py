import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tasks.inference.golden import MOST_ROWS, choose, from_json, to_json

SERIES = pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))


@settings(max_examples=100, deadline=None)
@given(
    labels=arrays.arrays(np.int32, st.integers(0, 300), elements=st.integers(0, 40)),
    data=st.data(),
)
def test_the_rows_chosen_are_distinct_and_few_and_of_every_class(labels, data):
    lengths = data.draw(arrays.arrays(np.int64, len(labels), elements=st.integers(0, 9)))
    rows = choose(labels, lengths, MOST_ROWS)
    assert len(set(rows.tolist())) == len(rows) <= MOST_ROWS
    assert len(set(labels[rows].tolist())) == min(len(np.unique(labels)), MOST_ROWS)


def test_the_shortest_and_the_longest_row_of_a_class_are_among_them():
    lengths = np.random.default_rng(0).permutation(100)
    rows = choose(np.zeros(100, np.int32), lengths, 8)
    assert {0, 99} <= set(lengths[rows].tolist())


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text() | st.none(), min_size=1, max_size=9))
def test_texts_come_back_as_they_were(texts):
    frame = pd.DataFrame({"row_id": range(len(texts)), "text": pd.Series(texts, dtype="str")})
    answers = np.random.default_rng(0).random((len(texts), 3)).astype(np.float32)
    back, told = from_json(to_json(frame, answers))
    assert back["text"].isna().tolist() == frame["text"].isna().tolist()
    assert back["text"].fillna("").tolist() == frame["text"].fillna("").tolist()
    assert (told == answers).all()


def test_series_come_back_as_they_were_and_what_is_no_number_as_missing():
    rows = [[[1.5, 0.1], [None, float("nan")]], [], None]
    frame = pd.DataFrame({"series": pd.Series(rows, dtype=SERIES)})
    back, _ = from_json(to_json(frame, np.zeros((3, 2), np.float32)))
    assert back["series"].dtype == SERIES
    first, empty, missing = back["series"].tolist()
    assert [list(step) for step in first] == [[1.5, np.float32(0.1)], [None, None]]
    assert len(empty) == 0
    assert missing is None or missing is pd.NA
