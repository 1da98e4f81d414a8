"""Who may ask, and where a server may listen."""

from datetime import date

import pytest
from pydantic import SecretStr

from serving.access import Access, BindRefused, RootRefused, day_of, refuse_root
from serving.limits import Refusal

NONE, TOKEN = SecretStr(""), SecretStr("s3cret")


def status(access, path="/invocations", **headers):
    given = {"host": "localhost:8080", **headers}
    try:
        access.check(path, {name.encode(): value.encode() for name, value in given.items()})
    except Refusal as refusal:
        return 500 if "s3cret" in refusal.message else refusal.status
    return 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "scoring.example"])
def test_beyond_loopback_a_token_and_names_are_needed(host):
    with pytest.raises(BindRefused, match="NOCTURNE_SERVE_TOKEN"):
        Access.of(host, NONE, "scoring.example")
    with pytest.raises(BindRefused, match="NOCTURNE_SERVE_ALLOWED_HOSTS"):
        Access.of(host, TOKEN, " , ")
    assert "scoring.example" in Access.of(host, TOKEN, "Scoring.Example").hosts


def test_on_loopback_anybody_here_may_ask_but_change_nothing():
    access = Access.of("127.0.0.1", NONE, "")
    assert status(access) == 200
    assert status(access, "/refresh") == 401
    assert status(access, "/refresh", authorization="Bearer ") == 401


def test_a_token_is_asked_of_all_but_health_and_documentation():
    access = Access.of("127.0.0.1", TOKEN, "")
    assert [status(access, path) for path in ("/", "/ping", "/v2/health/ready")] == [200] * 3
    for path in ("/invocations", "/metrics", "/refresh", "/v2/models/toys", "/nowhere"):
        assert status(access, path) == 401
        assert status(access, path, authorization="Bearer wrong") == 401
        assert status(access, path, authorization="Basic s3cret") == 401
        assert status(access, path, authorization="Bearer s3cret") == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1:9", 200), ("[::1]:9", 200), ("LOCALHOST", 200), ("scoring.example", 200)),
        *(("", 400), ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("a:b:c", 400)),
    ],
)
def test_a_foreign_host_is_refused(host, expected):
    assert status(Access.of("127.0.0.1", NONE, "scoring.example"), host=host) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("http://localhost:3000", 200), ("https://evil.example", 403), ("null", 403)],
)
def test_a_page_of_elsewhere_may_not_ask(origin, expected):
    assert status(Access.of("127.0.0.1", NONE, ""), origin=origin) == expected


def test_the_superuser_is_refused_unless_that_is_allowed():
    with pytest.raises(RootRefused, match=r"uid 0; run it as a user.*NOCTURNE_SERVE_AS_ROOT=1"):
        refuse_root(0, allowed=False)
    refuse_root(0, allowed=True)
    refuse_root(1000, allowed=False)


def test_a_request_may_name_its_day_and_nothing_else():
    assert day_of({}) is None
    assert day_of({b"x-logical-date": b"2026-01-31"}) == date(2026, 1, 31)
    for given in (b"yesterday", b"", b"2026-02-30", b"\xff" * 900):
        with pytest.raises(Refusal, match="X-Logical-Date") as refused:
            day_of({b"x-logical-date": given})
        assert refused.value.status == 400
        assert len(refused.value.message) < 300
