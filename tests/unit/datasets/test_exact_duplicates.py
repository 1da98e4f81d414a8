import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.errors import DataError
from tests.rows import series_of, texts

DAY = ["2026-03-01", "2026-03-02", "2026-03-03"]


def _kept(frame):
    kept, dropped = without_duplicates(frame)
    assert len(kept) + dropped == len(frame)
    return kept["row_id"].tolist()


def test_equal_input_with_equal_label_stays_once():
    assert _kept(texts(("1", "a", "x"), ("2", "a", "y"), ("3", "a", "x"))) == ["1", "2"]


def test_equal_input_with_another_label_is_left_to_the_contract():
    assert _kept(texts(("1", "a", "x"), ("2", "b", "x"))) == ["1", "2"]


def test_the_oldest_of_equal_rows_stays():
    frame = texts(("1", "a", "x"), ("2", "a", "x"), ("3", "a", "x"), time=[DAY[2], DAY[0], DAY[1]])
    assert _kept(frame) == ["2"]


def test_a_row_of_unknown_age_gives_way():
    assert _kept(texts(("1", "a", "x"), ("2", "a", "x"), time=[None, DAY[0]])) == ["2"]


def test_ids_that_count_up_keep_the_row_of_the_earlier_night():
    assert _kept(texts(("row-10", "a", "x"), ("row-9", "a", "x"))) == ["row-9"]


def test_rows_with_something_missing_are_no_duplicates():
    frame = texts(("1", "a", None), ("2", "a", None), ("3", None, "x"), ("4", None, "x"))
    assert _kept(frame) == ["1", "2", "3", "4"]


def test_a_batch_delivered_twice_counts_once_gaps_included():
    frame = texts(("1", "a", "x"), ("2", None, "y"), ("3", "b", None))
    twice = pd.concat([frame, frame], ignore_index=True)
    assert _kept(twice) == ["1", "2", "3"]


def test_an_id_with_different_content_needs_a_time():
    with pytest.raises(DataError, match="1 ids stand for different rows: '7'"):
        without_duplicates(texts(("7", "a", "x"), ("8", "a", "z"), ("7", "a", "y")))


def test_the_newest_row_of_an_id_stays():
    frame = texts(("7", "a", "x"), ("7", "b", "x"), ("7", "a", "y"), time=[DAY[0], DAY[2], DAY[1]])
    kept, dropped = without_duplicates(frame)
    assert (kept["label"].tolist(), dropped) == (["b"], 2)


def test_an_id_with_different_content_at_one_time_is_refused():
    frame = texts(("7", "a", "x"), ("7", "a", "y"), time=[DAY[0], DAY[0]])
    with pytest.raises(DataError, match="different rows"):
        without_duplicates(frame)


def test_an_official_split_keeps_its_test_and_validation_rows():
    frame = texts(
        ("1", "a", "x"), ("2", "a", "x"), ("3", "a", "x"), ("4", "a", "x"), ("5", "a", "x"),
        split=["train", "train", "test", "test", "validation"],
    )  # fmt: skip
    assert _kept(frame) == ["1", "3", "4", "5"]


def test_equal_series_are_duplicates_whatever_their_zeros_and_gaps_look_like():
    nan, minus_nan = float("nan"), -float("nan")
    frame = pd.DataFrame(
        {
            "row_id": pd.Series(["1", "2", "3", "4"], dtype="str"),
            "label": pd.Series(["a"] * 4, dtype="str"),
            "series": series_of(
                [[0.0, nan]], [[-0.0, minus_nan]], [[0.0, 1.0]], [[0.0, nan], [0.0, nan]]
            ),
        }
    )
    assert _kept(frame) == ["1", "3", "4"]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=50)
def test_what_stays_does_not_depend_on_the_order_and_a_second_look_drops_nothing(pairs, random):
    frame = texts(*((str(at), label, text) for at, (label, text) in enumerate(pairs)))
    shuffled = frame.sample(frac=1, random_state=random.randrange(1000)).reset_index(drop=True)
    kept, dropped = without_duplicates(frame)
    assert sorted(_kept(shuffled)) == sorted(kept["row_id"])
    assert dropped == len(pairs) - len(set(pairs))
    assert without_duplicates(kept)[1] == 0
