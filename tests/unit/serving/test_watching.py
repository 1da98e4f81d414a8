"""What is kept of live traffic: bounded, redacted, in the agreed schema; and the shadow's tally."""

import asyncio
import time
from datetime import UTC, date, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from infra.local import LocalStorage
from model_registry.state import Champion
from serving.engine import Answers
from serving.metrics import Metrics
from serving.protocol import Shape
from serving.request_log import RequestLog, redacted
from serving.shadow import Shadow
from tasks import live_inputs, shadow_findings
from tasks.ragged import Ragged
from tasks.serving_config import Serving


def today():
    return datetime.now(UTC).date()


class Fixed:
    """A version that gives every row the same answer; `unknown` is the ids equal to 1."""

    shape = Shape("text", ("body",))
    classes = ("no", "yes")

    def __init__(self, version, answer):
        self.version, self.digest, self.given = version, version * 64, answer

    def encode(self, rows):
        return rows

    def answer(self, rows):
        inputs = Ragged.of([np.array([1, 5], np.int32)] * len(rows))
        return Answers(self, np.tile(np.float32(self.given), (len(rows), 1)), inputs)

    def unknown(self, values):
        return int((values == 1).sum())


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path)


def logged(store, serving, rows, engine=None):
    engine = engine or Fixed("3", [0.25, 0.75])
    log = RequestLog("toys", store, Serving(**serving), Metrics())
    for row in rows:
        log.offer([row], engine.answer([row]))
    asyncio.run(log.flush())
    return live_inputs.read(store, "toys", today()).to_pylist()


def test_rows_are_kept_with_what_was_answered(store):
    (row,) = logged(store, {"redact": "nothing"}, ["call 0171 234"])
    assert (row["version"], row["label"], row["probabilities"]) == ("3", "yes", [0.25, 0.75])
    assert (row["length"], row["unknown"]) == (2, 1)
    assert (row["text"], row["series"]) == ("call 0171 234", None)


def test_a_flush_holds_a_uniform_sample_of_bounded_size(store):
    rows = logged(store, {"log_rows": 50}, [f"word{'x' * n}" for n in range(1000)])
    assert len(rows) == 50
    early = sum(len(row["text"]) < 500 for row in rows)
    assert 10 < early < 40
    assert len(list(store.keys("requests/"))) == 1


def test_without_share_or_bound_nothing_is_kept(store):
    assert logged(store, {"log_share": 0.0}, ["a"] * 20) == []
    assert logged(store, {"log_rows": 0}, ["a"] * 20) == []


def test_rows_count_for_the_day_that_their_request_names(store):
    engine, day = Fixed("3", [0.25, 0.75]), date(2026, 1, 31)
    log = RequestLog("toys", store, Serving(), Metrics())
    for text, named in (("late", day), ("prompt", None)):
        log.offer([text], engine.answer([text]), named)
    asyncio.run(log.flush())
    found = {at: live_inputs.read(store, "toys", at).to_pylist() for at in (day, today())}
    assert [row["text"] for row in found[day]] == ["late"]
    assert [row["text"] for row in found[today()]] == ["prompt"]


def test_a_store_that_takes_nothing_costs_only_the_rows(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert logged(LocalStorage(tmp_path / "file" / "store"), {}, ["a"]) == []


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("nothing", "mail ada.l+x@mail.example or @ada, www.a.example/x?y=1, +49 171 234-5"),
        ("identifiers", "mail <user> or <user>, <url> +<number>"),
        ("everything", None),
    ],
)
def test_what_names_a_person_is_taken_out(how, expected):
    said = "mail ada.l+x@mail.example or @ada, www.a.example/x?y=1, +49 171 234-5"
    assert redacted(said, how) == expected


def test_the_shadow_is_told_against_the_champion_and_read_back(store):
    champion, challenger = Fixed("3", [0.25, 0.75]), Fixed("4", [0.75, 0.25])
    slot = SimpleNamespace(challenger=challenger)
    shadow = Shadow("toys", slot, store, 1.0, Metrics())

    async def main():
        for _ in range(4):
            shadow.offer(["a b"], champion.answer(["a b"]))
        await shadow.answer_some()
        await shadow.report()

    asyncio.run(main())
    found = shadow_findings.read(store, "toys", "4")
    assert found["rows"] == 4
    assert found["champion"] == {"version": "3", "digest": "3" * 64}
    assert (found["agreement"], found["total_variation"]) == (0.0, 0.5)
    assert found["score_shift"] == {"no": 0.5, "yes": -0.5}
    assert found["milliseconds_a_row"]["p99"] > 0
    assert shadow_findings.read(store, "toys", "5") is None


class Failing(Fixed):
    def answer(self, rows):
        raise RuntimeError("out of order")


@pytest.mark.parametrize("challenger", [Failing("4", None), Fixed("4", [np.nan, 0.5])])
def test_rows_that_the_challenger_leaves_without_a_finite_answer_are_counted(store, challenger):
    champion = Fixed("3", [0.25, 0.75])
    shadow = Shadow("toys", SimpleNamespace(challenger=challenger), store, 1.0, Metrics())

    async def main():
        shadow.offer(["a", "b", "c"], champion.answer(["a", "b", "c"]))
        await shadow.answer_some()
        await shadow.report()

    asyncio.run(main())
    now = Champion("3", champion.digest, 7)
    found = shadow_findings.beside(store, "toys", "4", now)
    assert (found.rows, found.failed) == (0, 3)
    other = Champion("5", "5" * 64, 9)
    assert shadow_findings.beside(store, "toys", "4", other) is None
    assert shadow_findings.beside(store, "toys", "6", now) is None


def test_both_are_timed_on_the_same_rows(store):
    class Slow(Fixed):
        def answer(self, rows):
            time.sleep(0.05)
            return super().answer(rows)

    champion = Fixed("3", [0.25, 0.75])
    slot = SimpleNamespace(challenger=Slow("4", [0.25, 0.75]))
    shadow = Shadow("toys", slot, store, 1.0, Metrics())

    async def main():
        shadow.offer(["a b"], champion.answer(["a b"]))
        await shadow.answer_some()
        await shadow.report()

    asyncio.run(main())
    found = shadow_findings.beside(store, "toys", "4", Champion("3", champion.digest, 7))
    assert found.milliseconds > 50
    assert 0 < found.champion_milliseconds < 50
    assert found.times_as_long > 1


def test_a_challenger_that_cannot_be_loaded_is_written_down_with_the_reason(store):
    live = Fixed("3", [0.25, 0.75])
    wanted = Champion("4", "4" * 64, 8)
    slot = SimpleNamespace(challenger=None, live=live, unshadowed=(wanted, "digest mismatch"))
    shadow = Shadow("toys", slot, store, 1.0, Metrics())

    async def main():
        watching = asyncio.create_task(shadow.run())
        while shadow.tally is None:
            await asyncio.sleep(0.05)
        watching.cancel()
        await shadow.report()

    asyncio.run(main())
    found = shadow_findings.beside(store, "toys", "4", Champion("3", live.digest, 7))
    assert (found.rows, found.error) == (0, "digest mismatch")


def test_without_a_challenger_nothing_waits(store):
    shadow = Shadow("toys", SimpleNamespace(challenger=None), store, 1.0, Metrics())
    champion = Fixed("3", [0.25, 0.75])
    shadow.offer(["a"], champion.answer(["a"]))
    asyncio.run(shadow.answer_some())
    asyncio.run(shadow.report())
    assert list(store.keys()) == []
