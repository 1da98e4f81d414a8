"""Data Docs that stand alone."""

import re

import pytest

from expectations.terms import History
from expectations.validation import check
from tests.frames import text_terms, tickets

HOSTILE = "<svg onload=alert(1)> $PATH {{x}} <script>alert(2)</script>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    frame = tickets()
    frame.loc[3, "text"] = HOSTILE
    suite = [
        {
            "type": "expect_column_values_to_not_match_regex",
            "kwargs": {"column": "text", "regex": "<"},
            "severity": "warning",
            "meta": {"rule": "no <b>markup</b>"},
        }
    ]
    folder = tmp_path_factory.mktemp("docs")
    report = check(frame, text_terms(), suite, history=History(), docs_dir=folder)
    assert report.docs_index == folder / "index.html"
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def test_there_is_an_index_and_both_pages_of_great_expectations(pages):
    assert pages.keys() == {"index.html", "validation.html", "suite.html"}
    assert 'href="validation.html"' in pages["index.html"]
    assert 'href="index.html"' in pages["validation.html"]


def test_the_index_says_the_verdict_and_every_finding(pages):
    assert "accepted: 299 of 300 rows keep the contract; 1 in quarantine" in pages["index.html"]
    assert "no &lt;b&gt;markup&lt;/b&gt;: 1 of 300 rows break it" in pages["index.html"]


def test_no_page_fetches_or_runs_anything(pages):
    for name, page in pages.items():
        assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page), name
        assert not re.findall(r"<(script|link|img|iframe)\b", page), name
        assert "default-src 'none'" in page


def test_hostile_text_is_shown_not_run(pages):
    for page in pages.values():
        assert "<svg" not in page
    assert "&lt;svg onload=alert(1)&gt; $PATH {{x}}" in pages["validation.html"]
