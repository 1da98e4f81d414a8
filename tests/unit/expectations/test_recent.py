"""Batches against recent nights and days."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from expectations.facts import facts_of
from expectations.recent import completeness
from expectations.terms import History, Night
from tests.frames import AS_OF, text_terms


def _days(counts, last=AS_OF):
    """`counts` rows a day, the last on the day of `last`."""
    times = [
        pd.Timestamp(last.date() - timedelta(days=len(counts) - 1 - at), tz=UTC)
        + pd.Timedelta(minutes=row)
        for at, rows in enumerate(counts)
        for row in range(rows)
    ]
    frame = pd.DataFrame({"row_id": [str(row) for row in range(len(times))], "label": "a"})
    return frame.assign(text="some words", time=pd.Series(times).astype("datetime64[us, UTC]"))


def _found(frame, history=None, **changes):
    terms = text_terms(**changes)
    return completeness(facts_of(frame, terms), terms, history or History())


def test_even_days_say_nothing():
    assert _found(_days([50] * 15)) == []


def test_a_day_of_few_rows_is_cut_short():
    (finding,) = _found(_days([50] * 14 + [10]))
    assert (
        "rows 20 % of the 14-day median on 2026-03-20 (10 of 50); last row at 00:09"
        in finding.message
    )
    assert finding.severity == "critical"


def test_a_week_end_is_compared_with_week_ends():
    sunday = AS_OF.replace(day=22)
    days = [sunday - timedelta(days=28 - at) for at in range(29)]
    quiet = [5 if day.weekday() > 4 else 50 for day in days]
    assert _found(_days(quiet, sunday), as_of=sunday) == []
    (finding,) = _found(_days([*quiet[:-1], 1], sunday), as_of=sunday)
    assert "on 2026-03-22 (1 of 50)" in finding.message


def test_a_day_that_is_not_over_is_no_cut_day():
    frame = _days([50] * 14 + [4])
    assert _found(frame, now=datetime(2026, 3, 20, 2, 0, tzinfo=UTC)) == []
    (finding,) = _found(_days([50] * 13 + [9, 4]), now=datetime(2026, 3, 20, 2, 0, tzinfo=UTC))
    assert "on 2026-03-19 (9 of 50)" in finding.message


@pytest.mark.parametrize("counts", [[50, 1], [50, 50, 1], [0, 0, 3]])
def test_too_few_days_to_know_what_is_usual_say_nothing(counts):
    assert _found(_days(counts)) == []


def test_a_file_that_ended_long_ago_is_only_old():
    frame = _days([50] * 14 + [1], AS_OF - timedelta(days=400))
    assert _found(frame) == []
    (finding,) = _found(frame, max_age_hours=48.0)
    assert "the source has stopped growing" in finding.message


def test_age_is_counted_from_now_while_the_day_lasts():
    frame = _days([50] * 15)
    assert _found(frame, max_age_hours=24.0) == []
    assert _found(frame, max_age_hours=3.0, now=datetime(2026, 3, 20, 2, tzinfo=UTC)) == []
    assert len(_found(frame, max_age_hours=3.0)) == 1


def test_fewer_rows_than_half_of_recent_nights_stop():
    history = History(tuple(Night(f"2026-03-{day:02}", 1_000) for day in range(1, 20)))
    (finding,) = _found(_days([20] * 15), history)
    assert finding.message.startswith("rows 30 % of the 14-night median (300 of 1,000)")
    assert _found(_days([40] * 15), history) == []
    assert _found(_days([20] * 15), history, min_share_of_recent_rows=0.2) == []
