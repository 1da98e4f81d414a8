"""Nothing that the ledger names as needed is ever pruned, whatever history came before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_registry import chain, decisions, planning
from model_registry.asking import Asked
from model_registry.chain import Draft, Head, LedgerBroken
from model_registry.state import State
from tasks.retention.needs import kept_versions

ASKED = Asked("retention", "tests", "because", datetime(2026, 1, 1, tzinfo=UTC))
STEPS = st.lists(
    st.tuples(st.sampled_from(["promote", "rollback", "keep", "propose", "prune"]), st.booleans()),
    max_size=25,
)


class History:
    """Entries that follow on each other, as nights and persons write them."""

    def __init__(self):
        self.state, self.entries, self.made = State(), [], {}

    def write(self, kind, body):
        draft = Draft(kind, ASKED.at, ASKED.by, ASKED.why, body)
        entry = chain.numbered(draft, self.state.head or Head())
        self.state = decisions.state_of([entry], self.state)
        self.entries.append(entry)
        return entry

    def new(self):
        version = str(len(self.made) + 1)
        self.made[version] = f"digest-{version}"
        before = self.state.champion.version if self.state.champion else None
        body = {"version": version, "digest": self.made[version], "before": before}
        return {**body, "after": before, "expected": None}

    def move(self, action, body, *, finish):
        intent = self.write("intent", {**body, "action": action, "after": body["version"]})
        if finish:
            self.write("done", {"about": intent.number})

    def step(self, what, finish):
        pending = self.state.pending
        if what == "prune":
            self.prune()
        elif pending is not None:
            self.write("done", {"about": pending.number})
        elif what == "promote":
            self.move("promote", self.new(), finish=finish)
        elif what == "rollback" and self.state.past:
            to, body = self.state.past[-1], {"before": self.state.champion.version}
            body |= {"version": to.version, "digest": to.digest}
            self.move("rollback", body, finish=finish)
        elif what in ("keep", "propose"):
            self.write({"keep": "kept", "propose": "proposed"}[what], self.new())

    def prune(self):
        """As greedily as can be: everything that was ever made is offered."""
        needed, before = dict(self.state.needed), self.state
        draft = planning.pruning(self.state, self.made, ASKED)
        if draft is not None:
            self.write("pruned", draft.body)
            assert not needed.keys() & draft.body["versions"].keys()
        assert (self.state.champion, self.state.pending) == (before.champion, before.pending)
        assert self.state.past[-1:] == before.past[-1:]
        assert self.state.proposals == before.proposals


@given(STEPS)
def test_the_greediest_policy_prunes_nothing_that_is_needed(steps):
    history = History()
    for what, finish in steps:
        history.step(what, finish)
    state = history.state
    assert not state.needed.keys() & state.pruned.keys()
    assert not {one.version for one in state.past} & state.pruned.keys()
    assert State.from_json(state.head, state.to_json()) == state
    kept = kept_versions(state, history.entries, [], 1)
    assert state.needed.items() <= kept.items()


def test_an_entry_that_prunes_what_serves_breaks_the_ledger():
    history = History()
    history.step("promote", True)
    body = {"version": None, "before": "1", "after": "1", "versions": {"1": "digest-1"}}
    with pytest.raises(LedgerBroken, match="v1 is pruned and needed: in Production"):
        history.write("pruned", body)
