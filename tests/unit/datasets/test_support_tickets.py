"""The synthetic stream: repeatable, as flawed as real data, and hard enough that models differ."""

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from tasks.config import Split
from tasks.datasets import tickets as words
from tasks.datasets.canonical import canonical, end_of
from tasks.datasets.duplicates import without_duplicates
from tasks.datasets.errors import DataError
from tasks.datasets.near_duplicates import copies
from tasks.datasets.reading import read
from tasks.datasets.splits import assign
from tasks.datasets.synthetic import PERIOD_DAYS, read_synthetic, tickets_of
from tests.rows import pipeline_of

END = date(2026, 3, 1)
COLUMNS = {
    "id": "ticket_id", "text": "text", "label": "topic", "time": "created_at",
    "group": "customer_id",
}  # fmt: skip


@pytest.fixture(scope="module")
def stream():
    return read_synthetic(end_of(END)).to_pandas()


@pytest.fixture(scope="module")
def clean():
    """As a night would prepare it: no duplicates, gaps or contradictions."""
    frame, _ = without_duplicates(read(pipeline_of(COLUMNS), END))
    whole = frame.dropna(subset=["text", "label"])
    topics = whole.groupby("text")["label"].transform("nunique")
    return whole[topics == 1].reset_index(drop=True)


def test_the_stream_is_large_and_quick_to_make():
    start = time.process_time()
    table = read_synthetic(end_of(END))
    assert time.process_time() - start < 6
    assert 7_500 < table.num_rows < 9_500


def test_the_stream_is_the_same_every_time(stream):
    again = read_synthetic(end_of(END)).to_pandas()
    assert again.equals(stream)
    assert not read_synthetic(end_of(END), seed=18).to_pandas().equals(stream)


def test_two_windows_agree_on_the_days_they_share(stream):
    later = read_synthetic(end_of(END + timedelta(days=10)), days=60).to_pandas()
    cut = datetime(2026, 1, 11, tzinfo=UTC)
    ours = stream[stream["created_at"] >= cut].reset_index(drop=True)
    theirs = later[later["created_at"] <= end_of(END)].reset_index(drop=True)
    assert len(ours) > 1_000
    assert ours.equals(theirs)


def test_a_stream_that_ended_gets_no_newer_rows():
    table = read_synthetic(end_of(END), days=5, end="2026-02-20")
    days = {at.date() for at in table.column("created_at").to_pylist()}
    assert days == {date(2026, 2, 16) + timedelta(days=at) for at in range(5)}


@pytest.mark.parametrize(
    ("until", "options", "message"),
    [
        (None, {}, "needs a logical date"),
        (end_of(END), {"days": 0}, "days from 1"),
        (end_of(END), {"rows_per_day": 0}, "rows_per_day above 0"),
        (end_of(END), {"end": "March"}, "ISO date"),
    ],
)
def test_options_out_of_range_are_refused(until, options, message):
    with pytest.raises(DataError, match=message):
        read_synthetic(until, **options)


def test_classes_are_skewed_as_announced(stream):
    shares = stream["topic"].value_counts(normalize=True)
    for topic, share in words.SHARES.items():
        assert shares[topic] == pytest.approx(share, rel=0.25, abs=0.005)


def test_lengths_vary_within_bounds(stream):
    lengths = stream["text"].dropna().str.split().str.len()
    assert lengths.min() >= 3
    assert lengths.max() <= 60
    assert lengths.quantile(0.9) > 2 * lengths.quantile(0.1)


def test_the_flaws_of_real_data_are_there_and_within_the_quarantine_budget(stream):
    whole = stream.dropna(subset=["text", "topic"])
    gaps = len(stream) - len(whole)
    contradicting = whole.groupby("text")["topic"].transform("nunique") > 1
    once = whole[~whole.duplicated(["text", "topic"])]
    assert 0.005 < gaps / len(stream) < 0.02
    assert 0.004 < contradicting.mean() < 0.02
    assert 0.01 < 1 - len(once) / len(whole) < 0.05
    assert (gaps + contradicting.sum()) / len(stream) < 0.04


def test_near_copies_wait_in_train_for_whoever_removes_them(clean):
    sides = assign(clean, Split())
    found = copies(clean[sides == "train"], clean[sides == "test"], 0.8)
    assert 0.001 < found.mean() < 0.05


def test_weekends_are_quieter(stream):
    days = stream["created_at"].dt.day_of_week.value_counts()
    assert days[[5, 6]].max() < 0.8 * days[[0, 1, 2, 3, 4]].min()


@pytest.mark.parametrize("end", [date(2026, 3, 1), date(2025, 11, 20), date(2027, 6, 5)])
def test_any_half_year_sees_a_new_product_and_new_words(end):
    stream = read_synthetic(end_of(end), rows_per_day=20).to_pandas()
    ordinal = stream["created_at"].dt.date.map(date.toordinal)
    periods = ordinal // PERIOD_DAYS
    assert periods.nunique() >= 2
    first, last = stream[periods == periods.min()], stream[periods == periods.max()]
    assert set(last["product"]) - set(first["product"])
    usage = [
        {m for m in words.MENTIONS["usage"] if part["text"].str.contains(m, regex=False).any()}
        for part in (first, last)
    ]
    assert usage[1] - usage[0]
    assert usage[0] & usage[1]


def test_ids_count_up_within_a_day_and_times_with_them():
    day = tickets_of(END, seed=17, rows_per_day=45)
    assert [ticket.ticket_id for ticket in day] == sorted({ticket.ticket_id for ticket in day})
    assert [ticket.created_at for ticket in day] == sorted(ticket.created_at for ticket in day)
    assert {ticket.created_at.date() for ticket in day} == {END}


def test_every_form_can_be_filled_and_every_topic_has_as_many_phrases():
    gaps = {"a": "", "r": "", "p": "", "n": "", "m": "", "open": "", "done": "", "but": ""}
    for forms in (words.OPENINGS, words.PLAIN, words.BRIEF, words.VAGUE, words.CONTRASTS):
        assert all(isinstance(form.format(**gaps), str) for form in forms)
    assert set(Counter(map(len, words.MENTIONS.values()))) == {16}
    assert sum(words.SHARES.values()) == pytest.approx(1)
    assert set(words.NEIGHBOURS) == set(words.MENTIONS) == set(words.SHARES)


def _macro_f1(clean, words_together):
    sides = assign(clean, Split())
    train, test = clean[sides != "test"], clean[sides == "test"]
    vectorizer = TfidfVectorizer(ngram_range=(1, words_together))
    fitted = make_pipeline(vectorizer, LinearSVC()).fit(train["text"], train["label"])
    return f1_score(test["label"], fitted.predict(test["text"]), average="macro")


def test_a_bag_of_words_does_well_but_leaves_room(clean):
    bag, pairs = _macro_f1(clean, 1), _macro_f1(clean, 2)
    assert 0.65 < bag < 0.82
    assert 0.68 < pairs < 0.86


def test_word_order_tells_what_words_alone_do_not(clean):
    """Of tickets that mention two topics, which is meant depends on the form around them."""
    mentions = {m: topic for topic, phrases in words.MENTIONS.items() for m in phrases}
    named = (
        clean["text"]
        .str.lower()
        .map(lambda text: {topic for m, topic in mentions.items() if m.lower() in text})
    )
    torn = clean[named.map(len) == 2]
    first = np.array([topics == {"usage", "billing"} for topics in named[torn.index]])
    labels = torn["label"][first].value_counts(normalize=True)
    assert len(torn) > 800
    assert labels["usage"] < 0.8
    assert labels["billing"] > 0.15


def test_the_stream_makes_a_canonical_frame_with_its_slices():
    table = read_synthetic(end_of(END), days=3)
    frame = canonical(table, pipeline_of(COLUMNS, slices=["product", "channel"]))
    assert set(frame["channel"]) <= set(words.CHANNELS)
    assert frame["row_id"].is_unique
