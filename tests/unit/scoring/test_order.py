"""Reading ahead and answering on several cores change neither order nor errors."""

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.scoring.ahead import Ahead, in_order


def failing(count):
    yield from range(count)
    raise ValueError("the disk is gone")


@given(st.integers(0, 20), st.integers(1, 4))
def test_items_come_in_order_whoever_makes_them(count, workers):
    with Ahead(iter(range(count))) as ahead:
        found = list(in_order(lambda item: item * 2, ahead, workers))
    assert found == [(item, item * 2) for item in range(count)]


def test_slow_items_do_not_overtake_and_work_is_shared():
    names = set()

    def slow(item):
        names.add(threading.current_thread().name)
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item

    assert [item for item, _ in in_order(slow, iter(range(12)), 3)] == list(range(12))
    assert len(names) > 1


def test_what_goes_wrong_is_raised_where_its_item_would_have_come():
    seen = []
    with Ahead(failing(3)) as ahead, pytest.raises(ValueError, match="the disk is gone"):
        list(map(seen.append, ahead))
    assert seen == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda item: 1 / item, iter([1, 0, 1]), 2))


def test_who_leaves_half_way_leaves_no_thread_behind():
    made = []
    with Ahead(made.append(item) or item for item in itertools.count()) as ahead:
        assert next(ahead) == 0
    assert len(made) <= 5
    assert not [each for each in threading.enumerate() if each.name == "reading ahead"]
