"""A night that is over is answered from its record; a dead one of the pipeline is found first."""

from datetime import UTC, date, datetime, timedelta

import pytest

from flows.missed import finished
from infra.settings import Settings
from infra.storage import open_storage
from tasks import leases, nights
from tasks.config import Pipeline
from tasks.lease import holding
from tasks.references import Night

DAY = date(2026, 3, 1)
PIPELINE = Pipeline.model_validate(
    {
        "name": "toy",
        "source": {"reader": "synthetic"},
        "columns": {"label": "topic", "text": "text"},
        "candidates": [{"name": "a", "architecture": "averaged_embeddings"}],
    }
)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("NOCTURNE_HOME", str(tmp_path))
    return open_storage(Settings())


def recorded(storage, outcome):
    night = Night(pipeline="toy", logical_date="2026-03-01", outcome=outcome, reason="so it was")
    nights.save(night, storage, lease=1)
    return night


@pytest.mark.parametrize("outcome", ["promoted", "kept", "skipped"])
def test_the_record_of_a_night_that_is_over_is_the_answer(storage, outcome):
    assert finished(PIPELINE, DAY, storage) is None
    night = recorded(storage, outcome)
    assert finished(PIPELINE, DAY, storage) == night
    assert finished(PIPELINE, DAY.replace(day=2), storage) is None


def test_only_what_ended_since_a_moment_counts_where_that_is_asked(storage):
    moment = datetime(2026, 3, 2, 4, 5, 6, 789, tzinfo=UTC)
    night = Night(
        pipeline="toy", logical_date="2026-03-01", outcome="kept", reason="so it was",
        finished_at=moment.isoformat(timespec="seconds"),
    )  # fmt: skip
    nights.save(night, storage, lease=1)
    assert finished(PIPELINE, DAY, storage, since=moment) == night
    assert finished(PIPELINE, DAY, storage, since=moment + timedelta(seconds=1)) is None


def test_a_night_that_failed_is_run_again(storage):
    recorded(storage, "failed")
    assert finished(PIPELINE, DAY, storage) is None


def test_a_dead_night_of_the_pipeline_is_found_by_the_flow_first(storage):
    night = recorded(storage, "kept")
    with holding("toy", DAY, storage) as held:
        mine = held.held
    assert finished(PIPELINE, DAY, storage) == night
    dead = mine.model_copy(update={"number": 7, "ended": None, "pid": 2**22 + 1})
    leases.write(dead, storage)
    assert finished(PIPELINE, DAY, storage) is None
    leases.bury(dead, storage)
    assert finished(PIPELINE, DAY, storage) == night
