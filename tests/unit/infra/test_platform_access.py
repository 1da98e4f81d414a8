"""Who may ask the platform's servers, and what must be set before they leave loopback."""

import asyncio

import pytest

from infra.platform.access import Access, BindRefused, guarded, kept_secret
from infra.settings import Settings

OPEN = {
    "up_host": "0.0.0.0",
    "up_password": "canary-password-of-up",
    "up_allowed_hosts": "nocturne.example, Other.example",
    "serve_token": "canary-token",
}


def access(uid=1000, **given):
    return Access.of(Settings(**given), uid=uid)


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("up_password", "NOCTURNE_UP_PASSWORD"),
        ("up_allowed_hosts", "NOCTURNE_UP_ALLOWED_HOSTS"),
        ("serve_token", "NOCTURNE_SERVE_TOKEN"),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "nocturne.example"])
def test_beyond_loopback_it_refuses_and_names_what_is_not_set(missing, named, host):
    given = {name: value for name, value in OPEN.items() if name != missing}
    with pytest.raises(BindRefused, match=named) as caught:
        access(**given | {"up_host": host})
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_beyond_loopback_it_names_everything_that_is_missing_at_once():
    with pytest.raises(BindRefused) as caught:
        access(up_host="0.0.0.0")
    named = ("NOCTURNE_UP_PASSWORD", "NOCTURNE_UP_ALLOWED_HOSTS", "NOCTURNE_SERVE_TOKEN")
    assert all(name in str(caught.value) for name in named)


def test_beyond_loopback_it_does_not_run_as_uid_0():
    with pytest.raises(BindRefused, match="uid 0"):
        access(uid=0, **OPEN)
    assert access(uid=0, **OPEN, serve_as_root=True).asks
    assert access(uid=1000, **OPEN).hosts() >= {"nocturne.example", "other.example", "127.0.0.1"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"up_password": "short"}, "NOCTURNE_UP_PASSWORD.*at least 12"),
        ({"up_user": "a:b"}, "NOCTURNE_UP_USER 'a:b'"),
        ({"up_allowed_hosts": "*"}, r"NOCTURNE_UP_ALLOWED_HOSTS '\*'"),
        ({"up_allowed_hosts": "https://a.example"}, "NOCTURNE_UP_ALLOWED_HOSTS"),
    ],
)
def test_what_a_server_would_not_take_is_refused_by_name(given, named):
    with pytest.raises(BindRefused, match=named):
        access(**given)


def test_on_loopback_nothing_is_asked_unless_a_password_is_set():
    assert not access().asks
    assert access().lets_in("")
    locked = access(up_password=OPEN["up_password"])
    assert not locked.lets_in("")
    assert not locked.lets_in("Basic bm9jdHVybmU6d3Jvbmc=")
    assert not locked.lets_in("Basic \xff\xfe")
    assert locked.lets_in(locked.basic)
    assert "canary" not in repr(locked)


def asked(headers, kind="http"):
    """What a guarded application answers to a request with these headers."""
    sent = []

    async def app(scope, receive, send):
        sent.append("let through")

    async def send(message):
        sent.append(message.get("status", message["type"]))

    async def receive():
        return {"type": "websocket.connect"}

    scope = {"type": kind, "headers": [(k.encode(), v.encode()) for k, v in headers]}
    asyncio.run(guarded(app, {"localhost", "127.0.0.1", "[::1]"})(scope, receive, send))
    return sent[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        [("host", "evil.example")],
        [("host", "evil.example:4200")],
        [("host", "localhost.evil.example")],
        [("host", "")],
        [],
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "localhost:4200"), ("origin", "http://evil.example")],
        [("host", "localhost:4200"), ("origin", "http://localhost.evil.example:4200")],
        [("host", "localhost:4200"), ("origin", "http://localhost:4200@evil.example")],
        [("host", "localhost:4200"), ("origin", "null")],
        [("host", "localhost:4200"), ("origin", "")],
    ],
)
def test_the_guard_sends_foreign_names_and_pages_away(headers, kind):
    assert asked(headers, kind) == (403 if kind == "http" else "websocket.close")


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "localhost")],
        [("host", "127.0.0.1:4200")],
        [("host", "LOCALHOST:4200")],
        [("host", "[::1]:4200")],
        [("host", "localhost:4200"), ("origin", "http://127.0.0.1:4200")],
    ],
)
def test_the_guard_lets_its_own_names_and_pages_through(headers):
    assert asked(headers) == "let through"


def test_the_guard_lets_a_server_begin():
    assert asked([], "lifespan") == "let through"


def test_a_kept_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "up" / "key"
    made = kept_secret(file)
    assert len(made) == 48
    assert kept_secret(file) == made
    assert file.stat().st_mode & 0o077 == 0
