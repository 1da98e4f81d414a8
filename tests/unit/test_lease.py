"""One night of a pipeline at a time, and a dead one is known as dead."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date

import pytest

from infra.local import LocalStorage
from tasks import lease, leases
from tasks.lease import LeaseLost, StillRunning, holding, holding_batch

DAY = date(2026, 3, 1)


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


def hold(storage):
    return holding("toy", DAY, storage)


def test_a_second_night_is_told_which_process_runs_and_since_when(storage):
    with hold(storage), pytest.raises(StillRunning, match=rf"pid {os.getpid()} on .*, age \d+ s"):
        hold(storage).__enter__()
    with hold(storage) as second:
        assert second.held.number == 2


def test_a_night_waits_for_retention_to_end(storage):
    held = threading.Event()

    def night():
        with hold(storage):
            held.set()

    waiting = threading.Thread(target=night)
    with holding("toy", DAY, storage, doing="retention"):
        waiting.start()
        assert not held.wait(1.5)
    assert held.wait(10)
    waiting.join()


def test_a_night_waits_for_another_as_long_as_it_has_patience(storage):
    with hold(storage):
        began = time.monotonic()
        with pytest.raises(StillRunning):
            holding("toy", DAY, storage, patience=1.5).__enter__()
        assert time.monotonic() - began > 1.5
    first, ended = hold(storage), threading.Timer(1.0, lambda: first.__exit__(None, None, None))
    first.__enter__()
    ended.start()
    with holding("toy", DAY, storage, patience=60) as second:
        assert second.held.number == 3
    ended.join()


@pytest.fixture
def elsewhere(storage):
    """Somebody on another machine who holds the pipeline, and was last heard of just now."""
    with hold(storage) as mine:
        here = mine.held
    there = here.model_copy(update={"number": 2, "host": "elsewhere", "ended": None})
    leases.write(there.model_copy(update={"beat": time.time()}), storage)
    return leases.latest("toy", storage)


def test_who_is_elsewhere_and_gives_no_sign_of_life_is_waited_for_until_he_is_dead(
    storage, elsewhere
):
    leases.write(elsewhere.model_copy(update={"beat": time.time() - 148}), storage)
    began = time.monotonic()
    with hold(storage) as heir:
        assert heir.held.number == 3
    assert 1 < time.monotonic() - began < 60


def test_who_is_elsewhere_and_gives_a_sign_of_life_is_left_alone(storage, elsewhere):
    alive = threading.Timer(
        1.5, lambda: leases.write(elsewhere.model_copy(update={"beat": time.time()}), storage)
    )
    alive.start()
    with pytest.raises(StillRunning, match="on elsewhere, age"):
        hold(storage).__enter__()
    alive.join()
    assert leases.latest("toy", storage).number == 2


def test_a_batch_holds_its_target_alone_and_leaves_nothing(storage):
    with holding_batch("toy", DAY, "s3://a/out", storage) as one, hold(storage) as night:
        said = r"pipeline 'toy': the batch to s3://a/out is still running \(pid"
        with pytest.raises(StillRunning, match=said):
            holding_batch("toy", DAY, "s3://a/out", storage).__enter__()
        with holding_batch("toy", DAY, "s3://a/else", storage) as other:
            assert {one.held.number, other.held.number, night.held.number} == {1}
        one.check()
    assert list(storage.keys("leases/")) == ["leases/toy/00000001.json"]


def test_a_batch_that_was_killed_is_taken_over_and_swept_away(storage):
    with holding_batch("toy", DAY, "out", storage) as killed:
        leases.write(killed.held.model_copy(update={"beat": time.time() - 151}), storage)
        with holding_batch("toy", DAY, "out", storage) as heir:
            assert heir.held.number == 2
            with pytest.raises(LeaseLost, match="the batch to out of 'toy' was given up for dead"):
                killed.check()
        with pytest.raises(LeaseLost, match="by nobody known"):
            killed.check()
        with holding_batch("toy", DAY, "out", storage) as next_one:
            assert next_one.held.number == 1  # as the killed one had
            with pytest.raises(LeaseLost):
                killed.check()
    assert list(storage.keys("leases/")) == []


def test_a_batch_that_was_taken_over_leaves_its_heir_s_lease_alone(storage):
    sleeper = holding_batch("toy", DAY, "out", storage)
    held = sleeper.__enter__().held
    leases.write(held.model_copy(update={"beat": time.time() - 151}), storage)
    with holding_batch("toy", DAY, "out", storage) as heir:
        sleeper.__exit__(None, None, None)
        heir.check()


def test_of_many_at_once_one_holds_the_pipeline(storage):
    start, held, refused = threading.Barrier(8), [], []

    def attempt():
        start.wait()
        try:
            held.append(lease._claimed(lease._mine("toy", DAY, 150.0), storage).number)
        except StillRunning:
            refused.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (held, len(refused)) == ([1], 7)


def test_pipelines_do_not_wait_for_each_other(storage):
    with hold(storage), holding("other", DAY, storage) as other:
        assert other.held.number == 1


CHILD = """
import sys, time
from datetime import date
from pathlib import Path
from infra.local import LocalStorage
from tasks.lease import holding
with holding("toy", date(2026, 3, 1), LocalStorage(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


def started(storage, failpoint=""):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(storage.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "NOCTURNE_FAILPOINT": failpoint},
    )
    child.stdout.readline()
    return child


def ended(child):
    if child.poll() is None:
        child.kill()
    child.stdout.close()
    child.wait()


def test_a_night_that_was_killed_is_found_at_once_and_the_next_one_runs(storage):
    child = started(storage)
    assert leases.dead("toy", storage, time.time()) == []
    ended(child)
    (dead,) = leases.dead("toy", storage, time.time())
    assert (dead.pid, dead.logical_date) == (child.pid, "2026-03-01")
    with hold(storage):
        leases.bury(dead, storage)
    assert leases.dead("toy", storage, time.time()) == []


def test_a_night_that_died_before_its_first_heartbeat_is_found_too(storage):
    child = started(storage, "after_claim:kill")
    ended(child)
    assert child.returncode == -signal.SIGKILL
    (dead,) = leases.dead("toy", storage, time.time())
    assert dead.pid == child.pid


def test_on_another_machine_silence_tells_within_three_minutes(storage):
    with hold(storage) as mine:
        there = mine.held.model_copy(update={"host": "elsewhere", "pid": 1})
        assert leases.alive(there, there.beat + 149)
        assert not leases.alive(there, there.beat + 180)


def test_another_process_with_the_number_of_the_dead_one_is_not_the_night(storage):
    with hold(storage) as mine:
        born_later = mine.held.model_copy(update={"process_started": mine.held.started - 9999})
        assert leases.alive(mine.held, time.time())
        assert not leases.alive(born_later, time.time())


def test_a_stopped_process_that_wakes_after_it_was_replaced_may_write_nothing(storage):
    with hold(storage) as zombie:
        leases.write(zombie.held.model_copy(update={"beat": time.time() - 151}), storage)
        with hold(storage) as heir:
            heir.check()
            with pytest.raises(LeaseLost, match="given up for dead"):
                zombie.check()
    last = leases.latest("toy", storage)
    assert (last.number, last.ended) == (2, "done")


def test_a_process_declared_dead_does_not_bring_itself_back_to_life(storage):
    with hold(storage) as zombie:
        leases.bury(zombie.held, storage)
        with pytest.raises(LeaseLost):
            zombie.check()
        with pytest.raises(LeaseLost):
            zombie.note(registered="7")
    assert leases.latest("toy", storage).ended == "died"


def test_who_never_said_how_it_ended_is_known_also_after_others_found_it_dead(storage):
    with hold(storage) as first:
        assert first.silent() is None
        leases.write(first.held.model_copy(update={"beat": time.time() - 151}), storage)
        with hold(storage) as second:
            assert second.silent().number == 1
            leases.bury(first.held, storage)
            assert second.silent().number == 1
    with hold(storage) as third:  # after one that said it, still
        assert third.silent().number == 1


def test_how_a_night_ended_stands_in_its_lease(storage):
    with pytest.raises(ZeroDivisionError), hold(storage):
        raise ZeroDivisionError
    assert leases.latest("toy", storage).ended == "ZeroDivisionError"


def test_a_heartbeat_moves_the_time_well_before_the_lease_is_over(storage):
    with holding("toy", DAY, storage, lasts=0.05) as mine:
        first = mine.held.beat
        deadline = time.monotonic() + 60
        while leases.latest("toy", storage).beat == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert leases.latest("toy", storage).beat > first
