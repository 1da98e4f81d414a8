"""A failpoint does what the environment asks for, at its own name only."""

import pytest

from infra import failpoints
from infra.failpoints import FailpointReached, failpoint


def test_without_the_variable_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOCTURNE_FAILPOINT", raising=False)
    failpoint("after_train")


def test_only_the_named_point_acts(monkeypatch):
    monkeypatch.setenv("NOCTURNE_FAILPOINT", "after_train:raise")
    failpoint("after_prepare")
    with pytest.raises(FailpointReached, match="after_train"):
        failpoint("after_train")


def test_sleeping_goes_on_afterwards(monkeypatch):
    monkeypatch.setattr(failpoints, "SLEEP_SECONDS", 0)
    monkeypatch.setenv("NOCTURNE_FAILPOINT", "after_train:sleep")
    failpoint("after_train")


def test_an_unknown_action_is_refused(monkeypatch):
    monkeypatch.setenv("NOCTURNE_FAILPOINT", "after_train:explode")
    with pytest.raises(ValueError, match="'explode' is none of kill, stop, raise, sleep"):
        failpoint("after_train")
