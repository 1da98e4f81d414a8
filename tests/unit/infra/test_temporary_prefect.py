"""The Prefect server of one run: begun before Prefect is imported, and only where none is set."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from infra import temporary_prefect as beside
from infra.orchestration import ServerNotUp
from infra.settings import Settings
from infra.temporary_prefect import temporary_prefect
from tests.command_line import ROOT


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Of a process that knows no Prefect yet."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NOCTURNE_", "PREFECT_"))}
    monkeypatch.setattr(os, "environ", kept)
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    return Settings(home=tmp_path / "home", prefect_url="")


@pytest.fixture
def started(monkeypatch):
    """Every process that was begun."""
    found = []
    begin = beside.subprocess.Popen

    def noted(*arguments, **options):
        found.append(begin(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(beside.subprocess, "Popen", noted)
    yield found
    for each in found:
        each.wait(30)


def test_a_server_that_ends_before_it_answers_is_said_with_its_log(settings, started, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    until_it_answers = temporary_prefect(settings)
    assert os.environ["PREFECT_API_URL"].startswith("http://127.0.0.1:")
    with pytest.raises(ServerNotUp, match=r"ended with code 1 .*prefect-server\.log"):
        until_it_answers()
    assert len(started) == 1
    assert Settings(home=settings.home).prefect_url == ""  # it is nobody else's address


KILLED = """
import os, signal, sys
from pathlib import Path
from infra.settings import Settings
from infra.temporary_prefect import temporary_prefect
from tests.command_line import ROOT
until_it_answers = temporary_prefect(Settings(home=Path(sys.argv[1]), prefect_url=""))
if sys.argv[2] == "answers":
    until_it_answers()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["answers", "at once"])
def test_a_server_ends_by_itself_when_its_run_is_killed(settings, when):
    command = [sys.executable, "-c", KILLED, str(settings.home), when]
    before = servers_of(settings)
    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    (orphan,) = servers_of(settings)
    assert before == []
    orphan.wait(120)


def servers_of(settings):
    home, found = str((settings.home / "prefect").resolve()), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PREFECT__SERVER_EPHEMERAL") and (
                process.environ()["PREFECT_HOME"] == home
            ):
                found.append(process)
    return found


def test_an_address_is_taken_as_it_is(settings, started):
    team = settings.model_copy(update={"prefect_url": "http://team.example/api"})
    temporary_prefect(team)()
    assert os.environ["PREFECT_API_URL"] == "http://team.example/api"
    assert started == []


def test_a_profile_of_the_users_own_says_where_prefect_is(settings, started):
    place = settings.home / "prefect"
    place.mkdir(parents=True)
    (place / "profiles.toml").write_text('active = "team"\n')
    temporary_prefect(settings)()
    assert "PREFECT_API_URL" not in os.environ
    assert started == []


def test_prefect_that_is_imported_already_starts_its_own(settings, started, monkeypatch):
    monkeypatch.setitem(sys.modules, "prefect", sys)
    temporary_prefect(settings)()
    assert "PREFECT_API_URL" not in os.environ
    assert started == []
