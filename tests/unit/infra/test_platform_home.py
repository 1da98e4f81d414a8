"""What a home remembers of its platform: database and servers; and the page of links."""

import base64
import http.client
import json
import socket

import pytest
from pydantic import SecretStr

from flows import platform
from infra.local import LocalStorage
from infra.platform import databases, known
from infra.platform.access import Access
from infra.platform.databases import Database, DatabaseRefused
from infra.platform.page import Page
from infra.platform.parts import PortTaken
from infra.platform.plan import Plan
from infra.settings import Settings
from tasks.config import ConfigError
from tests.command_line import SMALL_PIPELINE, home_in
from tests.servers import free_port


def test_of_a_folder_what_is_not_for_this_machine_is_named_but_for_the_demonstrations(
    tmp_path, monkeypatch, caplog
):
    home = home_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, variable in (("own", "NOBODYS_DATABASE"), ("demo", "NOCTURNE_DEMO_DATABASE")):
        options = {"url": f"${{{variable}}}", "query": "SELECT 1"}
        home.write(
            SMALL_PIPELINE, name=name, source={"reader": {"name": "sql", "options": options}}
        )
    home.write(SMALL_PIPELINE)
    chosen, left_out = platform._pipelines([])
    assert chosen == {"small": tmp_path / "conf" / "small.yaml"}
    assert list(left_out) == ["own"]
    assert len(caplog.messages) == 1
    with pytest.raises(ConfigError, match="NOCTURNE_DEMO_DATABASE of its source is not set"):
        platform._pipelines([tmp_path / "conf" / "demo.yaml"])


def test_a_pipeline_that_is_named_without_its_folder_is_handed_on_by_its_place(
    tmp_path, monkeypatch
):
    home_in(tmp_path).write(SMALL_PIPELINE)
    monkeypatch.chdir(tmp_path)
    given = platform.Path("small")
    assert platform._pipelines([given])[0] == {"small": tmp_path / "conf" / "small.yaml"}


def test_scoring_first_starts_after_the_servers_that_run_here():
    settings = Settings()
    access = Access.of(settings, uid=1000)
    for mlflow, after in (("", ("mlflow",)), ("http://team.example", ())):
        plan = Plan(settings, access, Database("sqlite", ""), mlflow, "http://prefect.example")
        part = plan.scoring("small", platform.Path("small.yaml"), 8080)
        assert (part.needs, part.after) == ((), after)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free(monkeypatch):
    for name in ("NOCTURNE_MLFLOW_URL", "MLFLOW_TRACKING_URI", "NOCTURNE_PREFECT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.mark.usefixtures("free")
def test_verbs_of_a_home_find_its_servers_while_they_run(tmp_path, listener, monkeypatch):
    here, gone = f"http://127.0.0.1:{listener}", f"http://127.0.0.1:{free_port()}"
    known.write(tmp_path, {"mlflow_url": here, "prefect_url": f"{gone}/api"})
    settings = Settings(home=tmp_path)
    assert (settings.mlflow_url, settings.prefect_url) == (here, "")
    monkeypatch.setenv("NOCTURNE_HOME", str(tmp_path))
    assert Settings().mlflow_url == here
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team.example")
    assert Settings().mlflow_url == "http://team.example"
    known.forget(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Settings().mlflow_url == ""


@pytest.mark.usefixtures("free")
def test_a_registry_on_postgresql_stays_the_homes_registry_also_while_it_is_down(tmp_path):
    gone = f"http://127.0.0.1:{free_port()}"
    known.write(tmp_path, {"mlflow_url": gone, "prefect_url": gone}, kept=("mlflow_url",))
    known.forget(tmp_path)
    settings = Settings(home=tmp_path)
    assert (settings.mlflow_url, settings.prefect_url) == (gone, "")


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"mlflow_url": 5, "kept": 5}'])
def test_a_file_of_servers_that_is_none_harms_nobody(tmp_path, text):
    (tmp_path / "servers.json").write_text(text)
    assert Settings(home=tmp_path).mlflow_url == ""
    known.forget(tmp_path)
    assert not (tmp_path / "servers.json").exists()


def choose(home, url=""):
    return databases.choose(Settings(home=home, database_url=url))


def test_a_home_with_a_history_in_sqlite_stays_there_and_says_why(tmp_path):
    (tmp_path / "mlflow.db").touch()
    assert choose(tmp_path).said == "SQLite (this home's history is in it)"
    with pytest.raises(DatabaseRefused, match=r"registry of .* is in SQLite.*NOCTURNE_HOME"):
        choose(tmp_path, "postgresql://me:canary@127.0.0.1:1")
    assert choose(tmp_path).mlflow == f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.mark.parametrize("where", [databases.EMBEDDED, "PostgreSQL at db.example:5432"])
def test_a_registry_in_postgresql_is_not_forgotten_with_the_setting(tmp_path, where):
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "database.json").write_text(json.dumps({"where": where}))
    with pytest.raises(DatabaseRefused, match=where):
        choose(tmp_path, "sqlite")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me@db.example", "no address of a PostgreSQL"),
        ("postgresql://db.example", "with a role"),
        ("postgresql://me:canary@db.example:5432/mlflow", "a database each"),
        ("postgresql://me:canary@db.example:port", "NOCTURNE_DATABASE_URL"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path, url, said):
    with pytest.raises(DatabaseRefused, match=said) as caught:
        choose(tmp_path, url)
    assert "canary" not in str(caught.value)


FACTS = {
    "database": "SQLite (<b>because</b>)",
    "store": "s3://bucket/team",
    "parts": [
        {"name": "mlflow", "state": "healthy", "said": "", "restarts": 0, "page": "http://m/"},
        {"name": "x", "state": "pauses", "said": "ended with code 1", "restarts": 3, "page": ""},
    ],
    "elsewhere": {},
    "pipelines": [{"name": "tickets", "conf": "conf/tickets.yaml", "serves": "http://s/"}],
    "left_out": {},
}  # fmt: skip


@pytest.fixture
def page(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("reports/tickets/2026-03-01.html", b"<p>promoted</p>")
    (tmp_path / "secret.html").write_text("canary")
    access = Access("127.0.0.1", (), "nocturne", SecretStr("a password of many"))
    port = free_port()
    served = Page(access, port, lambda: FACTS, store)
    yield port
    served.close()


LET_IN = {"Authorization": f"Basic {base64.b64encode(b'nocturne:a password of many').decode()}"}


def ask(port, path, headers=LET_IN, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_the_page_shows_parts_links_and_reports_and_lets_nothing_run(page):
    status, text, headers = ask(page, "/")
    assert status == 200
    assert '<a href="http://m/">' in text
    assert "ended with code 1" in text
    assert "&lt;b&gt;because" in text
    assert '<a href="/reports/tickets/2026-03-01.html">' in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ask(page, "/reports/tickets/2026-03-01.html")[1] == "<p>promoted</p>"
    assert json.loads(ask(page, "/state.json")[1]) == FACTS


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 401),
        ("/state.json", {"Authorization": "Basic bm9jdHVybmU6d3Jvbmc="}, 401),
        ("/reports/tickets/2026-03-01.html", {}, 401),
        ("/", LET_IN | {"Host": "evil.example"}, 403),
        ("/", LET_IN | {"Origin": "http://evil.example"}, 403),
        ("/reports/tickets/2026-03-02.html", LET_IN, 404),
        ("/reports/../secret.html", LET_IN, 404),
        ("/reports/tickets/..%2f..%2fsecret.html", LET_IN, 404),
        ("//etc/passwd", LET_IN, 404),
    ],
)
def test_the_page_refuses_who_may_not_look_and_what_is_not_there(page, path, headers, status):
    found, text, _ = ask(page, path, headers)
    assert found == status
    assert "canary" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_changes_nothing(page, method):
    assert ask(page, "/", method=method)[0] == 501


def test_a_taken_port_of_the_page_is_told_with_its_setting(page, tmp_path):
    access = Access("127.0.0.1", (), "nocturne", SecretStr(""))
    with pytest.raises(PortTaken, match=rf"port {page} .*NOCTURNE_UP_PORT"):
        Page(access, page, lambda: FACTS, LocalStorage(tmp_path))
