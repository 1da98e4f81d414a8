"""The Prefect server of one run: begun before Prefect is imported, and only where none is set."""

import os
import sys

import pytest

from infra import temporary_prefect as beside
from infra.orchestration import ServerNotUp
from infra.settings import Settings
from infra.temporary_prefect import temporary_prefect


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
