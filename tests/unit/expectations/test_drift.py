"""What moved since the nights before."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
from hypothesis import given, settings

from expectations.drift import shifts, stability
from expectations.facts import facts_of
from expectations.terms import History
from tests.frames import SERIES, series_terms, text_terms, tickets, waves

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12)


def _shifts(now, before, terms):
    return shifts(facts_of(now, terms), terms, History(reference=before))


@settings(deadline=None)
@given(COUNTS)
def test_equal_counts_are_stable(counts):
    assert stability(counts, counts)[0] == 0


@settings(deadline=None)
@given(COUNTS.flatmap(lambda a: st.tuples(st.just(a), st.permutations(a))))
def test_the_index_is_never_negative_and_symmetric(pair):
    left, right = (stability(*pair)[0], stability(*reversed(pair))[0])
    assert left >= 0
    assert np.isclose(left, right)


def test_another_sample_of_the_same_texts_has_not_moved():
    assert _shifts(tickets(300, 1), tickets(300, 2), text_terms()) == []


def test_longer_texts_are_told():
    longer = tickets(300, 1)
    longer["text"] = longer["text"] + " and some more words to read" * 2
    (finding,) = _shifts(longer, tickets(300, 2), text_terms())
    assert finding.severity == "warning"
    assert finding.message.startswith("length: distribution moved")


def test_a_shift_of_classes_names_the_one_that_moved_most():
    now = tickets(300, 1)
    now.loc[now.index[:150], "label"] = "login"
    (finding,) = _shifts(now, tickets(300, 2), text_terms())
    assert finding.message.startswith("label: distribution moved")
    assert "'login' 33.3 % of rows before and 66.7 % now" in finding.message


def test_a_slice_that_moved_is_told():
    now = tickets(300, 1).assign(channel="fax")
    (finding,) = _shifts(now, tickets(300, 2), text_terms())
    assert finding.message.startswith("channel: distribution moved")


def test_a_unit_times_a_thousand_is_told():
    before = waves(120, seed=1)
    series = [[[v * 1000 for v in step] for step in row] for row in before["series"]]
    now = before.assign(series=pd.Series(series, dtype=SERIES))
    told = {f.message.split(":")[0] for f in _shifts(now, before, series_terms())}
    assert {"smallest", "largest"} <= told


def test_only_rows_the_reference_does_not_hold_are_compared():
    old = tickets(3_000, 1)
    new = tickets(100, 2)
    new["text"] = "short text"
    grown = pd.concat([old, new], ignore_index=True)
    assert any("length" in f.message for f in _shifts(grown, old, text_terms()))


def test_a_text_that_spells_out_its_label_is_told():
    leaked = tickets()
    leaked["text"] = leaked["text"] + " [" + leaked["label"] + "]"
    (finding,) = shifts(facts_of(leaked, text_terms()), text_terms(), History())
    assert "300 of 300 rows contain their own label" in finding.message
