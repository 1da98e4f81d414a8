"""What the command line shows is readable: prose wrapped, numbers to the right, nothing empty."""

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from flows import console
from flows.watching import _show_scored
from infra.native import without_chatter

COLUMNS = ("entry", "when (UTC)", "what", "version", "champion", "by", "why")
WHY = "better: macro_f1 0.5563 against 0.5000 of v1 on 273 rows, and all 13 gates passed, all"
ROWS = [(str(n), "2026-11-28 01:30", "promoted", "v2", "v1 → v2", "Ann", WHY) for n in (1, 12)]


@pytest.fixture
def shown(monkeypatch):
    """What is shown on a screen of so many columns."""

    def of(show, width=80):
        out = Console(file=io.StringIO(), width=width)
        monkeypatch.setattr(console, "out", out)
        show()
        return out.file.getvalue()

    return of


def test_prose_stands_below_its_row_where_the_screen_is_narrow(shown):
    said = shown(lambda: console.grid("Decisions", COLUMNS, ROWS)).splitlines()
    assert max(map(len, said)) <= 80
    assert said[2].split()[:3] == ["1", "2026-11-28", "01:30"]
    assert said[3].startswith("    better: macro_f1")
    assert " ".join(line.strip() for line in said[3:5]) == WHY
    assert len(said) == 2 + 2 * 3


def test_a_wide_screen_gets_a_table_with_prose_to_the_left_and_numbers_to_the_right(shown):
    said = shown(lambda: console.grid("Decisions", COLUMNS, ROWS), 160)
    assert f"│ {WHY} " in said
    assert "│     1 │" in said
    assert "│    12 │" in said


def test_a_table_without_rows_is_its_head(shown):
    assert "entry" in shown(lambda: console.grid("Decisions", COLUMNS, []), 160)


def test_brackets_in_cells_are_text(shown):
    for width in (80, 160):
        rows = [("[red]", *ROWS[0][1:-1], "[bold]" + WHY)]
        said = shown(lambda rows=rows: console.grid("T", COLUMNS, rows), width)
        assert "[red]" in said
        assert "[bold]better" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_a_sentence_breaks_between_words_on_a_screen_and_never_in_a_path(monkeypatch, terminal):
    path = "/a" * 60
    out = Console(file=io.StringIO(), width=80, force_terminal=terminal, no_color=True)
    monkeypatch.setattr(console, "out", out)
    console.show_facts({"why": f"{WHY} {path}"})
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in out.file.getvalue().splitlines()]
    assert " ".join(line.strip() for line in lines) == f"why: {WHY} {path}"
    assert [len(line) <= 80 for line in lines] == ([True, True, False] if terminal else [False])


def test_what_has_no_value_is_not_shown(shown):
    facts = {"scored_rows": 0, "rejects": None, "refused": "", "output": "a_b.csv"}
    assert shown(lambda: console.show_facts(facts)) == "scored rows: 0\noutput: a_b.csv\n"


def test_of_a_scored_batch_only_what_says_something_is_shown(shown):
    facts = {"rows": 2, "rejected": 0, "rejects": None, "parts": 1, "taken": 0, "refused": None}
    assert shown(lambda: _show_scored(facts)) == "rows: 2\n"
    assert "parts: 3" in shown(lambda: _show_scored({**facts, "parts": 3}))


NOISY = """
import os, sys
from infra.native import without_chatter
with without_chatter():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are ...\\n")
    os.write(2, b"I0000 00:00:1795830708.547386    6327 port.cc:153] oneDNN is on.\\n")
    os.write(2, b"E0000 00:00:1795830708.547386    6327 x.cc:1] out of memory\\n")
    print("ours", file=sys.stderr)
    {end}
"""


@pytest.mark.parametrize("end", ["pass", "raise RuntimeError('broke')"])
def test_of_what_libraries_say_while_they_load_only_remarks_are_left_out(end):
    run = subprocess.run(
        [sys.executable, "-c", NOISY.format(end=end)], capture_output=True, text=True, check=False
    )
    assert run.stderr.startswith(
        "E0000 00:00:1795830708.547386    6327 x.cc:1] out of memory\nours"
    )
    assert "absl" not in run.stderr
    assert "oneDNN" not in run.stderr
    assert ("broke" in run.stderr) == (end != "pass")


def test_standard_error_is_what_it_was_afterwards(capfd):
    with without_chatter():
        pass
    os.write(2, b"again")
    assert capfd.readouterr().err == "again"
