"""The queue before the engine: together what waits, alone what is alone, nothing lost."""

import asyncio
import threading
import time

import numpy as np
import pytest

from serving.batching import FLIGHT_ROWS, Batcher
from serving.engine import Answers
from serving.limits import DeadlinePassed, Overloaded, Refusal
from tasks.ragged import Ragged


class Echo:
    """A version that answers a word with its number, and remembers its flights."""

    def __init__(self, version="1", seconds=0.0, fails=()):
        self.version, self.seconds, self.fails = version, seconds, set(words(fails))
        self.flights = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, rows):
        if self.fails & set(rows):
            raise ValueError(f"row {min(self.fails & set(rows))}: no")
        return rows

    def answer(self, rows):
        self.gate.wait(10)
        time.sleep(self.seconds)
        self.flights.append([float(row) for row in rows])
        values = np.array([float(row) for row in rows], np.float32)[:, None]
        return Answers(self, values, Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64)))


def words(numbers):
    return [str(number) for number in numbers]


def told(answers):
    return answers.probabilities[:, 0].tolist()


def run(main):
    return asyncio.run(main)


async def held(batcher, engine, requests):
    """All requests at once, behind one that holds the engine until they wait."""
    engine.gate.clear()
    first = asyncio.create_task(batcher.answer(words([-1])))
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(batcher.answer(words(rows))) for rows in requests]
    await asyncio.sleep(0.05)
    engine.gate.set()
    return await asyncio.gather(first, *waiting, return_exceptions=True)


def test_a_lone_request_does_not_wait_for_company():
    engine = Echo()

    async def main():
        batcher = Batcher(lambda: engine)
        began = time.perf_counter()
        answers = await batcher.answer(words([3, 4]))
        return told(answers), time.perf_counter() - began

    answers, seconds = run(main())
    assert answers == [3.0, 4.0]
    assert seconds < 0.5


def test_what_waits_leaves_together_and_everybody_gets_their_own():
    engine = Echo()

    async def main():
        return await held(Batcher(lambda: engine), engine, [[n, n + 0.5] for n in range(20)])

    _, *answers = run(main())
    assert [told(one) for one in answers] == [[n, n + 0.5] for n in range(20)]
    assert [len(flight) for flight in engine.flights] == [1, 40]
    assert [one.first for one in answers] == list(range(0, 40, 2))


def test_a_flight_takes_only_so_many_rows_but_any_single_request():
    engine = Echo()

    async def main():
        requests = [[1.0] * 200, [2.0] * 100, [3.0] * FLIGHT_ROWS]
        return await held(Batcher(lambda: engine), engine, requests)

    assert [len(told(one)) for one in run(main())] == [1, 200, 100, FLIGHT_ROWS]
    assert [len(flight) for flight in engine.flights] == [1, 200, 100, FLIGHT_ROWS]


def test_a_request_that_cannot_be_answered_costs_the_others_nothing():
    engine = Echo(fails=[7])

    async def main():
        return await held(Batcher(lambda: engine), engine, [[6], [7], [8]])

    _, good, bad, also_good = run(main())
    assert (told(good), told(also_good)) == ([6.0], [8.0])
    assert isinstance(bad, Refusal)
    assert (bad.status, bad.message) == (422, "row 7: no")


def test_a_full_queue_refuses_at_once_and_serves_who_was_there():
    engine = Echo()

    async def main():
        batcher = Batcher(lambda: engine, queue=3)
        return await held(batcher, engine, [[n] for n in range(5)])

    _, *answers = run(main())
    assert [told(one) for one in answers[:3]] == [[0.0], [1.0], [2.0]]
    assert all(isinstance(one, Overloaded) and one.status == 503 for one in answers[3:])


def test_who_waits_too_long_is_told_and_not_computed_any_more():
    engine = Echo()

    async def main():
        batcher = Batcher(lambda: engine, deadline_seconds=0.2)
        engine.gate.clear()
        slow = asyncio.create_task(batcher.answer(words([1])))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(batcher.answer(words([2])))
        results = await asyncio.gather(slow, late, return_exceptions=True)
        engine.gate.set()
        return results, told(await batcher.answer(words([3])))

    (slow, late), after = run(main())
    assert isinstance(slow, DeadlinePassed)
    assert isinstance(late, DeadlinePassed)
    assert after == [3.0]
    assert engine.flights == [[1], [3]]


def test_a_swap_falls_between_two_flights():
    old, new = Echo("1"), Echo("2")
    live = [old]

    async def main():
        batcher = Batcher(lambda: live[0])
        old.gate.clear()
        before = [asyncio.create_task(batcher.answer(words([n]))) for n in range(3)]
        await asyncio.sleep(0.05)
        after = [asyncio.create_task(batcher.answer(words([n]))) for n in range(3)]
        await asyncio.sleep(0.05)
        live[0] = new
        old.gate.set()
        return await asyncio.gather(*before), await asyncio.gather(*after)

    before, after = run(main())
    assert {one.engine.version for one in before} == {"1"}
    assert {one.engine.version for one in after} == {"2"}


def test_without_a_live_version_requests_are_sent_away():
    async def main():
        batcher = Batcher(lambda: None)
        with pytest.raises(Refusal) as refused:
            await batcher.answer(words([1]))
        return refused.value.status

    assert run(main()) == 503
