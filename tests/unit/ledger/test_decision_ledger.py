import itertools
import json
import math
import multiprocessing
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local import LocalStorage
from model_registry import chain
from model_registry.ledger import Draft, Head, Ledger, LedgerBroken, LedgerError
from tests.faults.promoting import NOON
from tests.unit.ledger.memory import MemoryStore


def draft(why="because", **body):
    return Draft("kept", NOON, "tests", why, body)


def filled(root, entries=5):
    ledger, head = Ledger(LocalStorage(root), "tickets"), Head()
    for number in range(1, entries + 1):
        head = ledger.append(draft(f"reason {number}", value=number), after=head).head
    return ledger


@pytest.fixture
def ledger(tmp_path):
    return filled(tmp_path)


def path_of(ledger, number):
    return ledger.store.root / f"ledger/tickets/{number:08d}.json"


def rewrite(ledger, number, **changes):
    """Change an entry and mend its own hash, as somebody careful would."""
    content = json.loads(path_of(ledger, number).read_bytes()) | changes
    content.pop("hash")
    content["hash"] = chain.digest(content)
    path_of(ledger, number).write_bytes(chain.encoded(content))


def test_entries_are_read_back_as_they_were_written_and_in_order(ledger):
    entries = list(ledger.follow())
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.why for entry in entries] == [f"reason {n}" for n in range(1, 6)]
    assert entries[0].previous == chain.BEGINNING
    assert all(b.previous == a.hash for a, b in itertools.pairwise(entries))
    assert ledger.verify() == ()


def test_an_empty_ledger_has_no_entries_and_no_flaws(tmp_path):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    assert list(ledger.follow()) == []
    assert ledger.verify() == ()
    assert ledger.entry(1) is None
    assert ledger.checkpoint() is None


def test_pipelines_do_not_see_each_other(ledger):
    other = Ledger(ledger.store, "tickets_2")
    assert list(other.follow()) == []
    other.append(draft(), after=Head())
    assert len(list(ledger.follow())) == 5


def test_only_one_of_two_writers_gets_a_number(ledger):
    head = list(ledger.follow())[-1].head
    assert ledger.append(draft("first"), after=head).number == 6
    assert ledger.append(draft("second"), after=head) is None
    assert ledger.entry(6).why == "first"


def test_the_time_is_kept_in_utc_and_must_say_its_zone(tmp_path):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    summer = datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    entry = ledger.append(replace(draft(), at=summer), after=Head())
    assert entry.at == "2026-07-01T00:00:00.000000+00:00"
    with pytest.raises(LedgerError, match="has no zone; give UTC"):
        ledger.append(replace(draft(), at=datetime(2026, 7, 1)), after=entry.head)


def test_numbers_that_are_not_finite_are_kept_as_words(tmp_path):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    entry = ledger.append(draft(a=math.nan, b=[math.inf], c={"d": -math.inf}), after=Head())
    assert ledger.entry(1).body == {"a": "nan", "b": ["inf"], "c": {"d": "-inf"}} == entry.body
    assert ledger.verify() == ()


def test_numbers_of_numpy_are_kept_as_numbers(tmp_path):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    ledger.append(draft(a=np.float32(0.5), b=np.int64(3), c=np.bool_(True)), after=Head())
    assert ledger.entry(1).body == {"a": 0.5, "b": 3, "c": True}


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a"}, b"bytes", np.zeros(2)])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    with pytest.raises(LedgerError, match="cannot hold"):
        ledger.append(draft(value=value), after=Head())
    assert ledger.entry(1) is None


def test_data_does_not_go_into_the_ledger(tmp_path):
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    with pytest.raises(LedgerError, match="record digests and numbers, not data"):
        ledger.append(draft(rows="x" * chain.LARGEST_BYTES), after=Head())


def test_a_store_that_lets_two_writers_win_is_refused():
    ledger = Ledger(MemoryStore(conditional=False), "tickets")
    with pytest.raises(LedgerError, match="lets two writers win the same key"):
        ledger.append(draft(), after=Head())
    assert ledger.entry(1) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies=st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=5))
def test_whatever_is_plain_is_kept_exactly(bodies):
    ledger, head = Ledger(MemoryStore(), "tickets"), Head()
    for body in bodies:
        head = ledger.append(Draft("kept", NOON, "somebody", "why", body), after=head).head
    assert [entry.body for entry in ledger.follow()] == [chain.plain(body) for body in bodies]
    assert ledger.verify() == ()


# What somebody may have done to the files.


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found_in_its_entry(tmp_path_factory, data):
    ledger = filled(tmp_path_factory.mktemp("ledger"), 3)
    number = data.draw(st.integers(1, 3))
    path = path_of(ledger, number)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert number in {flaw.number for flaw in ledger.verify()}
    with pytest.raises(LedgerBroken):
        list(ledger.follow())


def test_an_edited_entry_is_named_and_its_neighbours_are_not(ledger):
    path = path_of(ledger, 3)
    path.write_bytes(path.read_bytes().replace(b"reason 3", b"reason X"))
    (flaw,) = ledger.verify()
    assert (flaw.number, flaw.rule) == (3, "edited")
    with pytest.raises(LedgerBroken, match=r"entry 3 was edited.*nocturne verify.*backup"):
        list(ledger.follow())


def test_an_entry_edited_with_care_no_longer_fits_the_next(ledger):
    rewrite(ledger, 3, why="another reason")
    (flaw,) = ledger.verify()
    assert (flaw.number, flaw.rule) == (4, "chain")
    with pytest.raises(LedgerBroken, match=r"entry 4 follows .* one of the two was replaced"):
        list(ledger.follow())


def test_the_last_entry_edited_with_care_no_longer_fits_the_checkpoint(ledger):
    ledger.keep_checkpoint(ledger.entry(5).head, {"anything": 1})
    rewrite(ledger, 5, why="another reason")
    (flaw,) = ledger.verify()
    assert (flaw.number, flaw.rule) == (5, "checkpoint")


def test_missing_entries_are_named_as_one_gap(ledger):
    path_of(ledger, 2).unlink()
    path_of(ledger, 3).unlink()
    (flaw,) = ledger.verify()
    assert str(flaw) == "missing: entries 2 to 3 are missing, but entry 4 exists"
    with pytest.raises(LedgerBroken, match="entries 2 to 4 are missing, but entry 5 exists"):
        list(ledger.follow())


def test_nothing_is_appended_into_a_gap(ledger):
    path_of(ledger, 5).rename(path_of(ledger, 6))
    with pytest.raises(LedgerBroken, match="entry 5 is missing"):
        list(ledger.follow())


def test_an_entry_in_the_place_of_another_is_named(ledger):
    path_of(ledger, 2).write_bytes(path_of(ledger, 4).read_bytes())
    assert "entry 4 lies in the place of entry 2" in str(ledger.verify()[0])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"nonsense", b"\xff", b'{"number":"1"}', b"[" * 10_000]
)
def test_what_is_no_entry_is_named(ledger, content):
    path_of(ledger, 2).write_bytes(content)
    (flaw,) = ledger.verify()
    assert (flaw.number, flaw.rule) == (2, "unreadable")


def test_a_field_of_another_type_is_named(ledger):
    rewrite(ledger, 5, why=None)
    assert ledger.verify()[0].rule == "unreadable"


def test_a_cut_end_is_found_by_the_checkpoint(ledger):
    ledger.keep_checkpoint(ledger.entry(5).head, {})
    path_of(ledger, 5).unlink()
    (flaw,) = ledger.verify()
    assert (flaw.number, flaw.rule) == (5, "cut")
    with pytest.raises(LedgerBroken, match="the ledger's end was cut off"):
        ledger.checkpoint()


def test_a_strange_file_is_named(ledger):
    (path_of(ledger, 1).parent / "notes.txt").write_text("hello")
    (flaw,) = ledger.verify()
    assert flaw.rule == "stranger"
    assert "notes.txt" in flaw.detail


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"digest": 1}'])
def test_a_damaged_checkpoint_is_ignored_but_told(ledger, content):
    ledger.keep_checkpoint(ledger.entry(4).head, {"anything": 1})
    (path_of(ledger, 1).parent / "checkpoint.json").write_bytes(content)
    assert ledger.checkpoint() is None
    assert [flaw.rule for flaw in ledger.verify()] == ["checkpoint"]


def test_a_checkpoint_of_another_history_is_ignored(ledger):
    ledger.keep_checkpoint(Head(4, "f" * 64), {})
    assert ledger.checkpoint() is None
    assert [flaw.rule for flaw in ledger.verify()] == ["checkpoint"]


# Answers that are lost on the way.


class Forgetful(LocalStorage):
    """Writes, or does not, and loses the answer either way."""

    def __init__(self, root, *, writes):
        super().__init__(root)
        self.writes = writes

    def put(self, key, data, *, if_absent=False):
        if self.writes or not key.startswith("ledger/"):
            super().put(key, data, if_absent=if_absent)
        if key.startswith("ledger/"):
            raise ConnectionError("no answer")


def test_an_entry_whose_answer_was_lost_counts_as_written(tmp_path):
    ledger = Ledger(Forgetful(tmp_path, writes=True), "tickets")
    assert ledger.append(draft("mine"), after=Head()).why == "mine"
    assert len(list(ledger.follow())) == 1


def test_an_entry_that_was_not_written_raises_what_the_store_said(tmp_path):
    ledger = Ledger(Forgetful(tmp_path, writes=False), "tickets")
    with pytest.raises(ConnectionError, match="no answer"):
        ledger.append(draft(), after=Head())
    assert ledger.entry(1) is None


def test_a_lost_answer_to_an_entry_of_another_counts_as_lost(tmp_path):
    filled(tmp_path, 1)
    ledger = Ledger(Forgetful(tmp_path, writes=False), "tickets")
    assert ledger.append(draft("reason 1", value=1), after=Head()) is None


# Many writers.


def _append_some(root, name, results):
    ledger, head, mine = Ledger(LocalStorage(root), "tickets"), Head(), []
    while len(mine) < 15:
        for entry in ledger.follow(head):
            head = entry.head
        entry = ledger.append(draft(name), after=head)
        mine += [entry.number] if entry else []
    results.put((name, mine))


def test_four_processes_append_without_losing_or_sharing_an_entry(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    names = ["a", "b", "c", "d"]
    workers = [context.Process(target=_append_some, args=(tmp_path, n, results)) for n in names]
    for worker in workers:
        worker.start()
    told = dict(results.get(timeout=60) for _ in names)
    for worker in workers:
        worker.join(timeout=60)
    ledger = Ledger(LocalStorage(tmp_path), "tickets")
    entries = {entry.number: entry.why for entry in ledger.follow()}
    assert entries == {number: name for name in names for number in told[name]}
    assert len(entries) == 60
    assert ledger.verify() == ()
