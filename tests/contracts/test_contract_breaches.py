"""Each way in which a batch or its rows can break the contract, judged by Great Expectations."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expectations.terms import History, Night
from expectations.validation import check
from tests.frames import AS_OF, SERIES, series_terms, text_terms, tickets, waves


def _with(frame, rows, column, value):
    frame = frame.copy()
    frame[column] = frame[column].astype("object")
    frame.loc[list(rows), column] = value
    return frame.assign(**{column: frame[column].astype("str")})


def _classes(frame, keep):
    return frame[frame["label"].isin(keep)].reset_index(drop=True)


def _contradict(frame):
    twin = frame.iloc[[0]].assign(row_id="twin", label="login")
    return pd.concat([frame, twin], ignore_index=True)


def _series_row(frame, row, steps):
    series = frame["series"].tolist()
    series[row] = steps
    return frame.assign(series=pd.Series(series, dtype=SERIES))


def _cut_last_day(frame):
    last = frame["time"].dt.date == AS_OF.date()
    late = last & (frame["time"].dt.hour > 3)
    return frame[~late].reset_index(drop=True)


@dataclass(frozen=True)
class Breach:
    """A broken frame, and what a person must read."""

    name: str
    frame: Any
    says: tuple[str, ...]
    terms: dict[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    dropped: int = 0
    bad_rows: int | None = None


GROWN = History(tuple(Night(f"2026-03-{d:02}", 1_000, {"login": 800}) for d in range(5, 19)))

STOPS = [
    Breach("no rows", lambda f: f.iloc[:0], ("0 rows, expected at least 100", "filter")),
    Breach("too few rows", lambda f: f.iloc[:60], ("60 rows, expected at least 100",)),
    Breach(
        "one class only",
        lambda f: _classes(tickets(900), ["login"]),
        ("all 300 rows are of one class, 'login'",),
    ),
    Breach(
        "no label at all",
        lambda f: f.assign(label=pd.Series([None] * len(f), dtype="str")),
        ("label: missing in all 300 rows", "'topic'"),
    ),
    Breach(
        "a vanished class",
        lambda f: _classes(f, ["billing", "delivery"]),
        ("class 'login' 0 rows (median 800 in 14 nights)", "vanished_class"),
        {"min_share_of_recent_rows": 0.1},
        GROWN,
    ),
    Breach(
        "a class of too few rows",
        lambda f: pd.concat([_classes(f, ["billing", "delivery"]), f[f["label"] == "login"][:2]]),
        ("'login' 2", "at least 5"),
    ),
    Breach(
        "a new class",
        lambda f: _with(f, range(0, 57), "label", "Z"),
        ("new label 'Z' 57 rows", "[billing, delivery, login]", "contract.labels"),
        {"quarantine_budget": 0.9},
        bad_rows=57,
    ),
    Breach(
        "a respelled class",
        lambda f: f.assign(label=f["label"].str.replace("login", "Login ")),
        ("new label 'Login '", "looks like 'login' retyped or respelled"),
    ),
    Breach(
        "a renamed column",
        lambda f: f.rename(columns={"text": "message"}),
        ("text: column text (column 'body' of the source) is there", "is missing", "renamed"),
    ),
    Breach(
        "a missing slice column",
        lambda f: f.drop(columns="channel"),
        ("channel: column channel is there is the rule, it is missing",),
    ),
    Breach(
        "text retyped to numbers",
        lambda f: f.assign(text=np.arange(len(f))),
        ("text: text (column 'body' of the source) holds text", "holds int64"),
    ),
    Breach(
        "text that is numbers in quotes",
        lambda f: f.assign(text=pd.Series(np.arange(len(f)) / 7).astype("str")),
        ("most values of text (column 'body' of the source) are words, not numbers",),
        bad_rows=0,
    ),
    Breach(
        "labels retyped to numbers",
        lambda f: f.assign(label=pd.factorize(f["label"])[0]),
        ("label (column 'topic' of the source) holds text", "holds int64"),
    ),
    Breach(
        "time retyped to text",
        lambda f: f.assign(time=f["time"].astype("str")),
        ("time holds dates with a time zone",),
    ),
    Breach(
        "a batch delivered twice under new ids",
        lambda f: pd.concat([f, f.assign(row_id="again-" + f["row_id"])], ignore_index=True),
        ("duplicates: 300 of 600 rows (50 %)", "delivered twice"),
    ),
    Breach(
        "a batch delivered twice, dropped by ingestion",
        lambda f: f,
        ("duplicates: 300 of 600 rows (50 %)",),
        dropped=300,
    ),
    Breach(
        "too many bad rows",
        lambda f: _with(f, range(0, 30), "text", " "),
        ("quarantine: 30 of 300 rows (10 %)", "budget 5 %"),
        bad_rows=30,
    ),
    Breach(
        "a truncated batch",
        lambda f: f,
        ("rows 30 % of the 14-night median (300 of 1,000); last row at 23:00",),
        history=GROWN,
    ),
    Breach(
        "a truncated day",
        _cut_last_day,
        ("rows 20 % of the 14-day median on 2026-03-20 (3 of 15); last row at 03:48",),
        {"min_rows": 50},
    ),
    Breach(
        "a source that stopped growing",
        lambda f: f[f["time"] < "2026-03-17"].reset_index(drop=True),
        ("the newest row (2026-03-16 23:00) is 97 hours older", "at most 48"),
        {"max_age_hours": 48.0},
    ),
]

BAD_ROWS = [
    Breach("a missing label", lambda f: _with(f, [3], "label", None), ("label", "is given")),
    Breach("a missing text", lambda f: _with(f, [3], "text", None), ("text", "is given")),
    Breach("a blank text", lambda f: _with(f, [3], "text", " "), ("1 to 40 words (got 0)",)),
    Breach(
        "a text that is too long",
        lambda f: _with(f, [3], "text", "word " * 41),
        ("1 to 40 words (got 41)",),
    ),
    Breach(
        "a placeholder", lambda f: _with(f, [3], "text", "N/A"), ("no placeholder", "got 'N/A'")
    ),
    Breach(
        "a row from the future",
        lambda f: f.assign(time=f["time"].where(f.index != 3, f["time"] + pd.Timedelta(weeks=300))),
        ("time is not after the logical date",),
    ),
    Breach(
        "a time that is none",
        lambda f: f.assign(time=f["time"].where(f.index != 3)),
        ("time (column 'created_at' of the source) is a date",),
    ),
    Breach(
        "a new class where the policy is quarantine",
        lambda f: _with(f, [3], "label", "Z"),
        ("label (column 'topic' of the source) is one of [billing, delivery, login] (got 'Z')",),
        {"new_class": "quarantine"},
    ),
    Breach(
        "one id for two rows",
        lambda f: _with(f, [3, 4], "row_id", "t0-3"),
        ("row_id is unique",),
        bad_rows=2,
    ),
    Breach(
        "contradicting labels",
        _contradict,
        ("no row with the same input has another label (got 'login')",),
        bad_rows=2,
    ),
]

SERIES_ROWS = [
    Breach("no steps", lambda f: _series_row(f, 3, []), ("1 to 40 steps (got 0)",)),
    Breach("a missing series", lambda f: _series_row(f, 3, None), ("series is given",)),
    Breach(
        "too many steps",
        lambda f: _series_row(f, 3, [[0.1, 0.2]] * 41),
        ("1 to 40 steps (got 41)",),
    ),
    Breach(
        "only missing values",
        lambda f: _series_row(f, 3, [[None, float("nan")]] * 6),
        ("not all values are missing (got 1)",),
    ),
    Breach(
        "an infinite value",
        lambda f: _series_row(f, 3, [[1.0, float("inf")], [0.0, 0.0]]),
        ("no value is infinite (got 1)",),
    ),
    Breach(
        "a sentinel",
        lambda f: _series_row(f, 3, [[1.0, 9999.0], [0.0, -999.0]]),
        ("no value is a code for missing, such as 9999 (got 2)",),
    ),
    Breach(
        "a step without a channel",
        lambda f: _series_row(f, 3, [[1.0, 0.2], [0.5]]),
        ("each step has 2 channels (got -1)",),
        {"channels": 2},
    ),
    Breach(
        "contradicting labels",
        lambda f: _series_row(f, 3, f["series"].iloc[1]),
        ("no row with the same input has another label",),
        bad_rows=2,
    ),
]


def _names(breaches):
    return [breach.name for breach in breaches]


def _judge(breach, frame, terms, folder):
    report = check(
        breach.frame(frame),
        terms,
        None,
        history=breach.history,
        docs_dir=folder,
        dropped=breach.dropped,
    )
    assert report.docs_index.is_file()
    return report


@pytest.mark.parametrize("frame", [tickets(), waves()], ids=["text", "series"])
def test_rows_that_keep_the_contract_are_accepted_without_a_finding(frame, tmp_path):
    terms = text_terms() if "text" in frame else series_terms(channels=2)
    report = check(frame, terms, None, history=History(), docs_dir=tmp_path)
    assert report.accepted
    assert report.findings == ()
    assert report.bad_rows.empty
    assert report.evaluated > 10


@pytest.mark.parametrize("breach", STOPS, ids=_names(STOPS))
def test_a_bad_batch_is_refused_and_says_why(breach, tmp_path):
    report = _judge(breach, tickets(), text_terms(**breach.terms), tmp_path)
    assert not report.accepted
    stops = [finding.message for finding in report.findings if finding.severity == "critical"]
    assert any(all(word in message for word in breach.says) for message in stops), stops
    assert report.reason.startswith(stops[0])
    if breach.bad_rows is not None:
        assert len(report.bad_rows) == breach.bad_rows


@pytest.mark.parametrize("breach", BAD_ROWS, ids=_names(BAD_ROWS))
def test_a_bad_row_goes_to_quarantine_with_its_reason(breach, tmp_path):
    _quarantined(breach, _judge(breach, tickets(), text_terms(**breach.terms), tmp_path))


@pytest.mark.parametrize("breach", SERIES_ROWS, ids=_names(SERIES_ROWS))
def test_a_bad_series_goes_to_quarantine_with_its_reason(breach, tmp_path):
    _quarantined(breach, _judge(breach, waves(), series_terms(**breach.terms), tmp_path))


def _quarantined(breach, report):
    assert report.accepted, report.reason
    assert len(report.bad_rows) == (breach.bad_rows or 1)
    reasons = report.bad_rows["reason"]
    assert reasons.map(lambda said: all(word in said for word in breach.says)).any(), [*reasons]


TOLERATED = [
    Breach(
        "a vanished class",
        lambda f: _classes(f, ["billing", "delivery"]),
        ("class 'login' 0 rows",),
        {"vanished_class": "tolerate"},
    ),
    Breach(
        "contradicting labels",
        _contradict,
        ("no row with the same input has another label",),
        {"conflicting_labels": "tolerate"},
    ),
    Breach(
        "a few duplicates",
        lambda f: pd.concat([f, f[:9].assign(row_id=[*"abcdefghi"])]),
        ("9 of 309",),
    ),
]


@pytest.mark.parametrize("breach", TOLERATED, ids=_names(TOLERATED))
def test_what_the_contract_tolerates_is_told_and_nothing_is_lost(breach, tmp_path):
    report = _judge(breach, tickets(), text_terms(**breach.terms), tmp_path)
    assert report.accepted
    assert report.bad_rows.empty
    assert any(breach.says[0] in finding.message for finding in report.findings)


def test_all_reasons_of_a_row_are_joined(tmp_path):
    frame = _with(_with(tickets(), [7], "label", None), [7], "text", "N/A")
    report = check(frame, text_terms(), None, history=History(), docs_dir=tmp_path)
    (reason,) = report.bad_rows["reason"]
    assert reason.count("; ") == 1
    assert "is given" in reason
    assert "placeholder" in reason


def test_bad_rows_are_found_by_position_whatever_the_index(tmp_path):
    frame = _with(tickets(), [7], "text", None).set_index(pd.Index([7] * 300))
    report = check(frame, text_terms(), None, history=History(), docs_dir=tmp_path)
    assert [*report.bad_rows.index] == [7]
    assert [*report.bad_rows["row_id"]] == ["t0-7"]
