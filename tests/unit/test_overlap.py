"""A run that is due while another goes on: how long it waits, and as what it ends."""

import time
from datetime import date

import pytest

from flows import overlap
from infra.local import LocalStorage
from tasks.lease import StillRunning, holding


@pytest.fixture
def running(tmp_path):
    with holding("toy", date(2026, 3, 1), LocalStorage(tmp_path)) as lease:
        yield StillRunning(lease.held, time.time())


def test_a_run_by_hand_is_told_at_once(running):
    assert overlap.patience() == 0
    with pytest.raises(StillRunning, match="night 2026-03-01 is still running"):
        overlap.given_way(running)


def test_a_scheduled_run_waits_and_ends_as_cancelled_with_the_reason(running, monkeypatch):
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "of a schedule")
    assert overlap.patience() == overlap.PATIENCE_SECONDS
    state = overlap.given_way(running)
    assert state.is_cancelled()
    assert state.message == str(running)
