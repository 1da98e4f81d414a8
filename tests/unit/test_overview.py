"""A Prefect that does not answer is said once, below the table of pipelines."""

import io
import socket

import yaml
from rich.console import Console

from flows import console
from flows.overview import overview
from tests.command_line import SMALL_PIPELINE


def test_why_prefect_does_not_say_what_is_due_stands_once_and_whole(tmp_path, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/api"
        monkeypatch.setenv("NOCTURNE_HOME", str(tmp_path / ".nocturne"))
        monkeypatch.setenv("NOCTURNE_PREFECT_URL", url)
        for name in ("one", "two"):
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**SMALL_PIPELINE, "name": name}))
        rows = overview(tmp_path)
    out = Console(file=io.StringIO(), width=160)
    monkeypatch.setattr(console, "out", out)
    console.overview_table(rows)
    said = out.file.getvalue()
    assert [row["due"] for row in rows] == ["unknown", "unknown"]
    assert said.count(f"Prefect at {url} does not answer: ") == 1
    assert "refused" in said.splitlines()[-1]
