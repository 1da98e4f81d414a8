"""What clients saw, counted by hand: terms, rates, accuracy."""

from datetime import date

import numpy as np
import pytest

from tasks.demonstration.measured import accuracies, order, pooled, rates, terms
from tasks.demonstration.story import Asked

MONDAY, TUESDAY = date(2025, 10, 6), date(2025, 10, 7)


def asked(began, version, *, seconds=0.1, day=MONDAY, right=1, known=1):
    return Asked(began, seconds, day, version, known, right)


def test_the_order_of_versions_is_the_ledger_s_moves_and_not_its_refusals():
    moves = [(None, "1"), ("1", "2"), ("2", "2"), ("2", "1"), ("1", "2")]
    history = [{"before": before, "after": after} for before, after in moves]
    assert order(history) == ["1", "2", "1", "2"]


def test_a_term_begins_with_its_first_answer():
    seen = [asked(0, "1"), asked(1, "1"), asked(2, "2"), asked(5, "2"), asked(6, "1")]
    found = terms(seen, ["1", "2", "1"])
    assert [(one.version, one.requests, one.late) for one in found] == [
        ("1", 2, 0), ("2", 2, 0), ("1", 1, 0),
    ]  # fmt: skip
    assert [one.began for one in found] == pytest.approx([0.1, 2.1, 6.1])
    assert [one.ended for one in found] == pytest.approx([1.1, 5.1, 6.1])


def test_who_was_under_way_while_versions_changed_may_be_answered_by_either():
    slow = asked(1.9, "1", seconds=0.5)  # sent before v2's first answer, answered after it
    (_, second) = terms([asked(0, "1"), asked(2, "2"), slow], ["1", "2"])
    assert second.late == 0


def test_who_asked_after_a_change_and_got_the_old_version_is_out_of_turn():
    late = asked(2.5, "1")
    (_, second) = terms([asked(0, "1"), asked(2, "2"), late, asked(3, "2")], ["1", "2"])
    assert (second.requests, second.late) == (2, 1)


def test_a_version_that_no_client_saw_has_no_term():
    assert [one.version for one in terms([asked(0, "1")], ["1", "2"])] == ["1"]
    assert terms([asked(0, None)], ["1"]) == []


def test_rates_add_up_to_the_requests_and_failures_have_no_latency():
    seen = [asked(0.5, "1", seconds=0.010), asked(0.6, None), asked(1.5, "2", seconds=0.030)]
    seen += [asked(3.5, "2", seconds=0.020)]
    found = rates(seen, 1.0)
    assert sum(each.sum() for each in found.answered.values()) == 3
    assert found.failed.sum() == 1
    np.testing.assert_allclose(found.median, [10, 30, np.nan, 20])


def test_accuracy_is_of_one_version_on_one_day():
    seen = [asked(0, "1", right=3, known=4), asked(1, "1", right=1, known=4)]
    seen += [asked(2, "2", right=2, known=2, day=TUESDAY), asked(3, None, known=0, right=0)]
    first, second = accuracies(seen)
    assert (first.day, first.version, first.rows, first.value) == (MONDAY, "1", 8, 0.5)
    assert first.low < 0.5 < first.high
    assert (second.version, second.value) == ("2", 1.0)
    assert pooled(seen, "1", MONDAY, TUESDAY).rows == 8
    assert pooled(seen, "2", MONDAY, MONDAY) is None
