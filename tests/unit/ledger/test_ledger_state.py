from dataclasses import replace

import pytest

from model_registry import decisions
from model_registry.chain import Draft, Head, LedgerBroken, numbered
from model_registry.decisions import fate, state_of
from model_registry.ledger import Ledger
from model_registry.state import State
from tests.faults.promoting import NOON, asked
from tests.unit.ledger.memory import MemoryStore


def chained(*drafts):
    entries, head = [], Head()
    for draft in drafts:
        entries.append(numbered(draft, head))
        head = entries[-1].head
    return entries


def intent(action, version, before, **body):
    content = {"action": action, "version": version, "digest": f"d{version}", "before": before}
    return Draft("intent", NOON, "tests", "better", content | body, request=f"{action} {version}")


def done(about):
    return Draft("done", NOON, "tests", "shown", {"about": about})


def undone(about):
    return Draft("undone", NOON, "tests", "missing", {"about": about})


def promoted(*versions):
    drafts, before = [], None
    for version in versions:
        drafts += [intent("promote", version, before), done(len(drafts) + 1)]
        before = version
    return drafts


def versions(champions):
    return [champion.version for champion in champions]


def test_a_promotion_counts_when_it_is_done_and_not_before():
    entries = chained(*promoted("1"), intent("promote", "2", "1"))
    state = state_of(entries)
    assert (state.champion.version, state.wanted.version) == ("1", "2")
    state = state_of(chained(*promoted("1", "2")))
    assert (state.champion.version, state.pending) == ("2", None)
    assert versions(state.past) == ["1"]


def test_a_rollback_counts_at_once_and_bars_who_leaves():
    state = state_of(chained(*promoted("1", "2"), intent("rollback", "1", "2")))
    assert (state.champion.version, state.past) == ("1", ())
    assert state.barred == {"2": 5}
    assert state.pending.target == state.champion


def test_a_rollback_that_is_turned_back_leaves_all_as_it_was():
    before = state_of(chained(*promoted("1", "2")))
    after = state_of(chained(*promoted("1", "2"), intent("rollback", "1", "2"), undone(5), done(5)))
    fields = ("champion", "past", "pending", "barred", "requests")
    assert all(getattr(before, name) == getattr(after, name) for name in fields)


def test_going_back_several_steps_forgets_the_versions_between():
    state = state_of(chained(*promoted("1", "2", "3"), intent("rollback", "1", "3"), done(7)))
    assert (state.champion.version, state.past, state.barred) == ("1", (), {"3": 7})


def test_a_rollback_over_a_promotion_cancels_it():
    drafts = [*promoted("1"), intent("promote", "2", "1"), intent("rollback", "1", "1")]
    state = state_of(chained(*drafts, done(4)))
    assert (state.champion.version, state.barred, state.pending) == ("1", {"2": 4}, None)
    assert state.champion.since == 4


def test_a_promotion_that_is_turned_back_may_be_asked_again():
    state = state_of(chained(*promoted("1"), intent("promote", "2", "1"), undone(3)))
    assert (state.champion.version, state.wanted.version) == ("1", "1")
    assert "promote 2" not in state.requests
    assert state.pending.undone == "missing"


def test_an_earlier_champion_put_there_by_hand_is_a_rollback():
    state = state_of(chained(*promoted("1", "2"), intent("adopt", "1", "2"), done(5)))
    assert (state.champion.version, state.past, state.barred) == ("1", (), {"2": 1 + 4})


def test_a_new_version_put_there_by_hand_is_a_promotion():
    state = state_of(chained(*promoted("1"), intent("adopt", "7", "1"), done(3)))
    assert (state.champion.version, versions(state.past), state.barred) == ("7", ["1"], {})


def test_a_revert_changes_nothing_in_the_ledger():
    state = state_of(chained(*promoted("1"), intent("revert", "1", "1"), done(3)))
    assert state.champion.since == 1


def test_only_judgements_against_a_champion_on_a_test_set_count_as_looks():
    facts = {"digests": {"test": "t1"}, "gates": [{"gate": "finite"}]}

    def kept(request, **changed):
        body = {"before": "1", "facts": facts, **changed}
        return Draft("kept", NOON, "tests", "worse", body, request)

    first_version = kept("night 1", before=None)
    unjudged = kept("night 2", facts={**facts, "gates": []})
    drafts = (first_version, unjudged, kept("night 3"), kept("night 4"))
    state = state_of(chained(*drafts))
    assert state.looks.sets == {"t1": 2}
    assert state.looks.wear("t1").since == NOON.date().isoformat()


def test_a_look_is_one_for_the_rows_of_its_set_whatever_set_they_are_in_next():
    rows = [f"{number:012x}" for number in range(11)]

    def kept(night, members):
        facts = {"digests": {"test": night}, "gates": [{"gate": "finite"}]}
        facts["test_sketch"] = "".join(members)
        return Draft("kept", NOON, "tests", "worse", {"before": "1", "facts": facts}, night)

    state = state_of(chained(kept("a", rows[:10]), kept("b", rows[:10]), kept("c", rows[1:])))
    assert state.looks.wear("d", "".join(rows)).shares == {1: 1 / 11, 2: 1 / 11, 3: 9 / 11}
    assert State.from_json(state.head, state.to_json()) == state


def test_a_checkpoint_of_before_rows_were_counted_is_read():
    state = state_of(chained(*promoted("1")))
    old = {key: value for key, value in state.to_json().items() if key not in ("rows", "reach")}
    assert State.from_json(state.head, {**old, "looks": {"t1": 4}}).looks.sets == {"t1": 4}


@pytest.mark.parametrize(
    "drafts",
    [
        [done(1)],
        [undone(1)],
        [*promoted("1"), done(1)],
        [*promoted("1"), done(2)],
        [intent("promote", "1", None), intent("promote", "2", None)],
        [intent("promote", "1", "0")],
        [intent("improve", "1", None)],
        [intent("promote", "1", None), undone(1), undone(1)],
        [*promoted("1"), intent("revert", "1", "1"), undone(3)],
        [Draft("promoted", NOON, "tests", "why")],
        [Draft("rejected", NOON, "tests", "no", {"version": "1"})],
        [Draft("kept", NOON, "tests", "why", {}, "same")] * 2,
        [Draft("intent", NOON, "tests", "why", {})],
        [Draft("kept", NOON, "tests", "why", {"facts": {"digests": 1, "gates": 1}})],
    ],
)
def test_entries_that_contradict_each_other_are_named(drafts):
    with pytest.raises(LedgerBroken, match=f"entry {len(drafts)} .* cannot follow") as broken:
        state_of(chained(*drafts))
    assert broken.value.flaw.rule == "order"


def test_folding_in_two_parts_gives_the_same_state_and_leaves_the_first_alone():
    drafts = [*promoted("1", "2"), intent("rollback", "1", "2"), done(5)]
    entries = chained(*drafts)
    for at in range(len(entries) + 1):
        first = state_of(entries[:at])
        again = State.from_json(first.head, first.to_json())
        assert state_of(entries[at:], first) == state_of(entries)
        assert first == again == state_of(entries[:at])


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], ("open", "")),
        ([done(3)], ("done", "")),
        ([undone(3), done(3)], ("undone", "missing")),
        ([intent("rollback", "1", "1")], ("superseded", "better")),
        ([Draft("kept", NOON, "tests", "why")], ("open", "")),
    ],
)
def test_what_became_of_an_intent(later, expected):
    entries = chained(*promoted("1"), intent("promote", "2", "1"), *later)
    assert fate(3, entries[3:]) == expected


# Reading.


def long_ledger(entries):
    """Nights that keep the champion, after one promotion."""
    store = MemoryStore()
    ledger, head = Ledger(store, "tickets"), Head()
    for draft in promoted("1"):
        head = ledger.append(draft, after=head).head
    while head.number < entries:
        kept = Draft("kept", NOON, "night", "not better", {}, f"night {head.number}")
        entry = ledger.append(kept, after=head)
        head = entry.head
    return store, ledger


def test_reading_ten_thousand_entries_costs_a_few_requests():
    store, ledger = long_ledger(10_000)
    decisions.keep_checkpoint(ledger, ledger.entry(10_000))
    head = ledger.entry(10_000).head
    for number in range(decisions.CHECKPOINT_EVERY - 1):
        head = ledger.append(Draft("kept", NOON, "n", "w", {}, f"x{number}"), after=head).head
    store.asked.clear()
    state = decisions.read(ledger)
    assert (state.head.number, state.champion.version) == (10_007, "1")
    assert len(state.requests) == 10_006
    assert store.asked.total() <= 2 * decisions.CHECKPOINT_EVERY
    assert store.asked["keys"] == 0


def test_reading_without_a_checkpoint_gives_the_same_state():
    _, ledger = long_ledger(50)
    whole = decisions.read(ledger)
    decisions.keep_checkpoint(ledger, ledger.entry(48))
    assert ledger.checkpoint()[0].number == 50
    assert decisions.read(ledger) == whole == state_of(ledger.follow())


def test_a_checkpoint_of_another_version_of_the_program_is_not_used(caplog):
    _, ledger = long_ledger(8)
    ledger.keep_checkpoint(ledger.entry(8).head, {"format": 0})
    assert decisions.read(ledger).champion.version == "1"
    assert "of another version" in caplog.text
    assert decisions.checkpoint_flaws(ledger, list(ledger.follow())) == [
        "the checkpoint of entry 8 contradicts the entries; delete it"
    ]


def test_a_checkpoint_that_says_something_else_is_found():
    _, ledger = long_ledger(8)
    state = decisions.read(ledger)
    assert decisions.checkpoint_flaws(ledger, list(ledger.follow())) == []
    ledger.keep_checkpoint(state.head, replace(state, champion=None).to_json())
    assert len(decisions.checkpoint_flaws(ledger, list(ledger.follow()))) == 1


def test_a_checkpoint_that_cannot_be_written_stops_nothing(caplog):
    store, ledger = long_ledger(8)
    store.put = None
    decisions.keep_checkpoint(ledger, ledger.entry(8))
    assert "no checkpoint" in caplog.text


@pytest.mark.parametrize("field", ["request", "by", "why"])
def test_every_decision_says_who_asked_for_what_and_why(field):
    with pytest.raises(RuntimeError, match=f"{field} is empty"):
        replace(asked(), **{field: " "})
