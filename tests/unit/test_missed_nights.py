"""Late, missed, needless: which nights run, and what the others are told."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from flows import missed
from infra.local import LocalStorage
from infra.storage import AlreadyExists
from tasks import nights
from tasks.config import Schedule
from tasks.references import Night

NIGHTLY = Schedule(cron="0 2 * * *")
BERLIN = Schedule(cron="30 1 * * *", timezone="Europe/Berlin")
# Prefect's own schedules warn about pytz' clock in Python 3.12 and later only
DUE = datetime(2026, 3, 10, 2, tzinfo=UTC)


def hours(count):
    return timedelta(hours=count)


def test_a_night_on_time_runs():
    assert missed.why_skipped(NIGHTLY, DUE, DUE + hours(1)) is None


def test_without_a_limit_a_late_night_runs_until_the_next_is_due():
    assert missed.why_skipped(NIGHTLY, DUE, DUE + hours(23)) is None


def test_a_night_over_the_limit_is_skipped_with_its_numbers():
    schedule = NIGHTLY.model_copy(update={"max_late_hours": 6})
    assert missed.why_skipped(schedule, DUE, DUE + hours(5.5)) is None
    said = missed.why_skipped(schedule, DUE, DUE + hours(7.5))
    assert said == "7.5 h late, more than schedule.max_late_hours = 6"


def test_of_several_missed_nights_the_last_one_runs_and_covers_the_others():
    now = DUE + hours(73)
    runs = [DUE + timedelta(days=day) for day in range(4)]
    said = [missed.why_skipped(NIGHTLY, due, now) for due in runs]
    assert [text is None for text in said] == [False, False, False, True]
    assert all("covered by night 2026-03-13" in text for text in said[:3])


def test_days_without_any_record_are_covered_too():
    days = missed.covered(NIGHTLY, DUE, ["2026-03-05", "2026-03-06", "2026-03-08"])
    assert days == [date(2026, 3, 9)]
    assert missed.covered(NIGHTLY, DUE, ["2026-03-09"]) == []
    assert missed.covered(NIGHTLY, DUE, []) == []


def test_a_weekly_schedule_misses_only_its_own_days():
    weekly = Schedule(cron="0 2 * * 1")
    monday = datetime(2026, 3, 23, 2, tzinfo=UTC)
    assert missed.covered(weekly, monday, ["2026-03-02"]) == [date(2026, 3, 9), date(2026, 3, 16)]


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("cron", ["0 2 * * *", "30 1 * * *", "30 0 * * *", "30 2 * * *"])
def test_every_day_of_a_year_has_one_night_whatever_the_clocks_do(timezone, cron):
    schedule = Schedule(cron=cron, timezone=timezone)
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    runs = missed.fires(schedule, first, first + timedelta(days=365))
    days = [missed.logical_day(run, schedule) for run in runs]
    assert len(days) == 365
    assert {later - day for day, later in pairwise(days)} == {timedelta(days=1)}


def test_the_day_is_the_date_where_the_cron_is_read():
    before, after = (
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),  # 01:30 in winter
        datetime(2026, 3, 29, 23, 30, tzinfo=UTC),  # 01:30 of the next day, in summer
    )
    assert missed.logical_day(before, BERLIN) == date(2026, 3, 29)
    assert missed.logical_day(after, BERLIN) == date(2026, 3, 30)
    assert missed.logical_day(after, NIGHTLY) == date(2026, 3, 29)


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path)


def recorded(storage, day, outcome, **facts):
    night = Night(pipeline="toy", logical_date=day, outcome=outcome, reason="", **facts)
    nights.save(night, storage, lease=1)


def test_the_record_of_the_highest_lease_counts_and_one_of_earlier_versions_where_it_is_alone(
    storage,
):
    night = {"pipeline": "toy", "logical_date": "2026-03-08", "outcome": "failed"}
    earlier = Night(**night, reason="of a version that knew no leases")
    storage.put("nights/toy/2026-03-08.json", earlier.model_dump_json().encode())
    recorded(storage, "2026-03-07", "kept")
    day = date(2026, 3, 8)
    assert nights.load("toy", day, storage) == earlier
    for lease in (10, 9):
        nights.save(Night(**night, reason=f"of lease {lease}"), storage, lease=lease)
    assert nights.load("toy", day, storage).reason == "of lease 10"
    assert nights.load("toy", date(2026, 3, 9), storage) is None
    with pytest.raises(AlreadyExists):
        nights.save(earlier, storage, lease=9)
    assert nights.recorded("toy", storage) == ["2026-03-07", "2026-03-08"]
    assert [n.reason for n in nights.recent("toy", storage)] == ["of lease 10", ""]


ASKED = {"data_digest": "rows", "settings_digest": "settings"}


def same(storage, day="2026-03-10", data="rows", settings="settings"):
    found = nights.same_as("toy", date.fromisoformat(day), data, settings, storage)
    return found and found.logical_date


def test_the_same_rows_under_the_same_settings_are_nothing_new(storage):
    recorded(storage, "2026-03-08", "promoted", version="1", champion_after="1", **ASKED)
    recorded(storage, "2026-03-09", "skipped")
    assert same(storage) == "2026-03-08"
    assert same(storage, data="more rows") is None
    assert same(storage, settings="another seed") is None


def test_a_night_that_kept_the_champion_on_these_rows_would_keep_it_again(storage):
    recorded(storage, "2026-03-07", "promoted", version="1", champion_after="1", data_digest="old")
    recorded(storage, "2026-03-08", "kept", version="2", champion_after="1", **ASKED)
    assert same(storage) == "2026-03-08"


def test_rows_that_came_back_to_what_trained_the_champion_are_nothing_new(storage):
    recorded(storage, "2026-03-06", "promoted", version="1", champion_after="1", **ASKED)
    recorded(storage, "2026-03-07", "kept", version="2", champion_after="1", data_digest="other")
    assert same(storage) == "2026-03-06"


def test_rows_of_a_model_that_was_replaced_since_are_judged_again(storage):
    recorded(storage, "2026-03-06", "promoted", version="1", champion_after="1", **ASKED)
    recorded(storage, "2026-03-07", "promoted", version="2", champion_after="2", data_digest="x")
    assert same(storage) is None


def test_a_failed_night_settles_nothing_and_later_nights_do_not_count(storage):
    recorded(storage, "2026-03-08", "failed", **ASKED)
    recorded(storage, "2026-03-11", "promoted", version="1", champion_after="1", **ASKED)
    assert same(storage) is None


def test_an_old_champion_is_warned_of_by_when_it_was_trained(storage):
    made = {"version": "1", "champion_after": "1", "finished_at": "2026-03-01T03:00:00+00:00"}
    recorded(storage, "2026-03-01", "promoted", **made)
    schedule = Schedule(max_champion_age_days=30)
    now = datetime(2026, 4, 10, tzinfo=UTC)
    said = nights.too_old(schedule, "toy", "1", now, storage)
    assert said.startswith("champion v1 was trained 40 days ago, more than schedule.max_champion")
    assert nights.too_old(schedule, "toy", "1", now - timedelta(days=20), storage) is None
    assert nights.too_old(Schedule(), "toy", "1", now, storage) is None
    assert nights.too_old(schedule, "toy", "unknown", now, storage) is None
