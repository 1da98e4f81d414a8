"""`nocturne ui`: MLflow's page on the store of the nights, gone with the command."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from tests.servers import answers, free_port


def test_the_page_shows_the_store_of_the_nights_and_ends_with_the_command(home, empty_store):
    (home.path / ".nocturne").mkdir()
    shutil.copy(empty_store, home.path / ".nocturne" / "mlflow.db")
    port = free_port()
    command = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ui", "--port", str(port), "--json"],
        cwd=home.path,
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = json.loads(_document(command.stdout))["url"]
        assert url == f"http://127.0.0.1:{port}"
        _until(lambda: answers(f"{url}/health"))
        assert "<title>MLflow</title>" in _text(url)
        found = _text(f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0")
        assert json.loads(found)["experiment"]["name"] == "Default"
    finally:
        command.send_signal(signal.SIGTERM)
        command.wait(120)
        command.stdout.close()
    _until(lambda: not answers(f"{url}/health"))


def _document(lines):
    """The first JSON document of a stream that goes on."""
    said = ""
    for line in lines:
        said += line
        if line.rstrip() == "}":
            return said
    raise AssertionError(said)


def _text(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def _until(true, patience_seconds=240):
    deadline = time.monotonic() + patience_seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)
