"""Who is told what, by a receiver on loopback that takes down every request."""

import json

import pytest

from tasks.notify import _send, announce, worth_telling
from tasks.references import Probed
from tests.measured_night import night
from tests.servers import free_port, receiver

# apprise reads its mail plugin, which asks for a module that Python 3.13 drops
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


DEMOTED = Probed(
    pipeline="tickets",
    logical_date="2026-04-01",
    version="7",
    since=9,
    predecessor="6",
    demoted=True,
    of=7,
    reason="demoted by probation: 0.7 against 0.8",
)


def test_a_message_reaches_every_address():
    with receiver() as (one, heard), receiver() as (two, also_heard):
        addresses = f"json://127.0.0.1:{one}/a  json://127.0.0.1:{two}/b"
        assert announce(addresses, "v7 promoted", "better by 0.05", "success") == ["JSON", "JSON"]
    for messages in (heard, also_heard):
        (message,) = messages
        assert (message["title"], message["message"]) == ("v7 promoted", "better by 0.05")
        assert message["type"] == "success"


def test_addresses_that_fail_are_warnings_without_their_secrets(caplog):
    with receiver(status=500) as (port, _):
        addresses = (
            f"json://ana:CANARY@127.0.0.1:{port}/ nonsense-CANARY "
            f"json://127.0.0.1:{free_port()}/CANARY"
        )
        assert announce(addresses, "v7 promoted", "better", "success") == []
    ours = [record.getMessage() for record in caplog.records if record.name == "tasks.notify"]
    assert len(ours) == 3
    assert "CANARY" not in " ".join(ours)


@pytest.mark.parametrize(
    ("facts", "old", "titles"),
    [
        ({"outcome": "promoted"}, None, ["tickets, night 2026-04-01: v7 promoted"]),
        ({"outcome": "failed"}, None, ["tickets, night 2026-04-01: failed"]),
        (
            {"outcome": "failed", "refused_by": "contract"},
            None,
            ["tickets, night 2026-04-01: data refused"],
        ),
        ({"outcome": "kept", "refused_by": "gate"}, None, []),
        (
            {"outcome": "kept", "refused_by": "ledger"},
            None,
            ["tickets, night 2026-04-01: v7 refused"],
        ),
        (
            {"outcome": "kept", "refused_by": "approval"},
            None,
            ["tickets, night 2026-04-01: v7 waits for a person"],
        ),
        (
            {"outcome": "kept", "probation": DEMOTED},
            None,
            ["tickets, night 2026-04-01: v7 demoted, v6 serves again"],
        ),
        ({"outcome": "skipped"}, "champion v6 is old", ["tickets: champion too old"]),
    ],
)
def test_people_hear_what_they_should_be_woken_for(facts, old, titles):
    told = worth_telling(night(**facts), old)
    assert [title for title, _, _ in told] == titles
    assert all(said for _, said, _ in told)


def test_the_webhook_hears_the_whole_night_without_secrets():
    reason = "source postgresql://ana:CANARY@db/tickets does not answer"
    with receiver() as (port, heard):
        _send(f"http://127.0.0.1:{port}/", night(outcome="failed", reason=reason))
    (message,) = heard
    assert message["night"]["outcome"] == "failed"
    assert "CANARY" not in json.dumps(message)
    assert "ana:***@db" in message["text"]
